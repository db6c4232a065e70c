"""Demucs' shifts: the same track, delayed by random times, separated again and averaged."""

import random
from collections.abc import Sequence

# demucs/apply.py: `max_shift = int(0.5 * model.samplerate)`
MAX_SHIFT_S = 0.5


def delays(shifts: int, *, seed: int, sample_rate_hz: int) -> Sequence[int]:
    """By how many samples each run is delayed; without shifts there is one run without delay.

    Drawn as `demucs.apply.apply_model` draws them after `random.seed(seed)`: by Python's Mersenne
    Twister, whose `randint` is the same on all machines. Demucs cuts `randint(0, max_shift)`
    samples off the `max_shift` samples of silence that it puts before the track.
    """
    if shifts == 0:
        return (0,)
    max_shift = int(MAX_SHIFT_S * sample_rate_hz)
    # Equal bytes for equal seeds, not secrets, are wanted.
    draw = random.Random(seed)  # noqa: S311
    return [max_shift - draw.randint(0, max_shift) for _ in range(shifts)]
