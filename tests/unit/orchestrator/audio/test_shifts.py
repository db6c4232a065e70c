import random

from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.audio.shifts import delays

MAX_SHIFT = 22_050


@settings(deadline=None)
@given(shifts=st.integers(1, 10), seed=st.integers(0, 2**32 - 1))
def test_they_are_drawn_as_demucs_draws_them_after_a_seed(shifts: int, seed: int) -> None:
    random.seed(seed)
    offsets = [random.randint(0, MAX_SHIFT) for _ in range(shifts)]  # noqa: S311
    drawn = delays(shifts, seed=seed, sample_rate_hz=44_100)
    assert list(drawn) == [MAX_SHIFT - offset for offset in offsets]


def test_without_shifts_there_is_one_run_without_delay() -> None:
    assert list(delays(0, seed=7, sample_rate_hz=44_100)) == [0]


def test_delays_are_pinned() -> None:
    """Equal bytes for equal seeds, for as long as there are old jobs to compare with."""
    assert list(delays(3, seed=0, sample_rate_hz=44_100)) == [9_427, 8_269, 20_724]
