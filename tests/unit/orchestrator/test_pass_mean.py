import itertools
from pathlib import Path

import numpy as np
import pytest

from orchestrator.pass_mean import PassMean


def track(run: int, frames: int = 1_000) -> np.ndarray:
    return np.random.default_rng(run).standard_normal((3, 2, frames), dtype=np.float32)


@pytest.mark.parametrize("passes", [2, 3, 10])
def test_the_mean_is_summed_in_order_in_float32(tmp_path: Path, passes: int) -> None:
    out: list[np.ndarray] = []
    with PassMean(tmp_path / "sums", passes=passes, stems=3) as mean:
        for run in range(passes):
            # Runs are cut in different places, as their windows are.
            cuts = [0, 100 + 7 * run, 400 - run, 1_000]
            for first, last in itertools.pairwise(cuts):
                block = mean.take(track(run)[..., first:last], run=run, position=first)
                assert (block is not None) == (run == passes - 1)
                out += [] if block is None else [block]
    expected = track(0)
    for run in range(1, passes):
        expected = expected + track(run)
    assert np.concatenate(out, axis=-1).tobytes() == (expected / np.float32(passes)).tobytes()
    size = PassMean.scratch_bytes(1_000, passes=passes, stems=3)
    assert (tmp_path / "sums").stat().st_size == size


def test_a_single_run_passes_through(tmp_path: Path) -> None:
    with PassMean(tmp_path / "sums", passes=1, stems=3) as mean:
        block = track(1)
        assert mean.take(block, run=0, position=0) is block
    assert (tmp_path / "sums").stat().st_size == 0
    assert PassMean.scratch_bytes(1_000, passes=1, stems=3) == 0
