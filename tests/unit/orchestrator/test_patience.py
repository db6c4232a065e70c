from orchestrator.patience import Patience


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_name_is_waited_for_once_however_many_ask() -> None:
    clock = Clock()
    patience = Patience(length_s=30, clock=clock)
    assert patience.lasts("a")
    clock.now += 29
    assert patience.lasts("a")
    assert patience.lasts("b")
    clock.now += 1
    assert not patience.lasts("a")
    assert not patience.lasts("a")
    assert patience.lasts("b")


def test_what_was_found_is_waited_for_again() -> None:
    clock = Clock()
    patience = Patience(length_s=30, clock=clock)
    assert patience.lasts("a")
    clock.now += 40
    patience.found("a")
    assert patience.lasts("a")
    patience.found("never missed")


def test_an_old_absence_is_forgotten() -> None:
    clock = Clock()
    patience = Patience(length_s=30, clock=clock)
    assert patience.lasts("a")
    clock.now += 3_600
    assert patience.lasts("a")


def test_without_patience_nothing_is_waited_for() -> None:
    assert not Patience(length_s=0, clock=Clock()).lasts("a")


def test_no_more_names_are_remembered_than_fit() -> None:
    patience = Patience(length_s=30, clock=Clock())
    for number in range(5_000):
        assert patience.lasts(str(number))
    assert len(patience._missed_at) <= 1_000
