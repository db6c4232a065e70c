from stemcore.telemetry.heartbeats import EVENT_LOOP, Heartbeats


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_who_keeps_beating_is_not_silent() -> None:
    clock = Clock()
    hearts = Heartbeats(clock=clock)
    for _ in range(3):
        hearts.beat(EVENT_LOOP, within_s=10)
        clock.now += 9
        assert hearts.silent() == {}


def test_who_misses_its_beat_is_named_with_the_time() -> None:
    clock = Clock()
    hearts = Heartbeats(clock=clock)
    hearts.beat(EVENT_LOOP, within_s=10)
    hearts.beat("sweeper", within_s=100)
    clock.now += 17
    assert hearts.silent() == {EVENT_LOOP: "No sign of life, 7 s after it was due."}


def test_nothing_is_expected_of_who_is_not_busy() -> None:
    clock = Clock()
    hearts = Heartbeats(clock=clock)
    with hearts.busy("sweeper", within_s=10):
        clock.now += 11
        assert hearts.silent().keys() == {"sweeper"}
    assert hearts.silent() == {}
