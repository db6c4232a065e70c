import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from orchestrator.adapters.shared_regions import PREFIX, SharedRegion, remove_stale_regions

SIZE_BYTES = 4096
MAKER = """
import sys
from pathlib import Path
from orchestrator.adapters.shared_regions import SharedRegion
region = SharedRegion.make(4096, directory=Path(sys.argv[1]))
print(region.name, flush=True)
sys.stdin.read()
"""


def test_what_one_maps_the_other_sees(tmp_path: Path) -> None:
    region = SharedRegion.make(SIZE_BYTES, directory=tmp_path)
    region.array((2, 3), np.float32, offset_bytes=8)[...] = np.arange(6).reshape(2, 3)
    seen = np.fromfile(tmp_path / region.name, np.float32)
    assert seen[2:8].tolist() == [0, 1, 2, 3, 4, 5]
    region.close()


def test_a_closed_region_leaves_nothing(tmp_path: Path) -> None:
    SharedRegion.make(SIZE_BYTES, directory=tmp_path).close()
    assert list(tmp_path.iterdir()) == []


def test_names_carry_the_process_and_cannot_be_guessed(tmp_path: Path) -> None:
    regions = [SharedRegion.make(SIZE_BYTES, directory=tmp_path) for _ in range(2)]
    names = {region.name for region in regions}
    assert len(names) == 2
    assert all(name.startswith(f"{PREFIX}{os.getpid()}-") for name in names)
    assert all(len(name.rpartition("-")[2]) == 32 for name in names)
    for region in regions:
        region.close()


def test_only_the_regions_of_the_dead_are_removed(tmp_path: Path) -> None:
    ours = SharedRegion.make(SIZE_BYTES, directory=tmp_path)
    stranger = tmp_path / "somebody-elses"
    stranger.touch()
    with subprocess.Popen(
        [sys.executable, "-c", MAKER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as maker:
        assert maker.stdout is not None
        name = maker.stdout.readline().strip()
        assert remove_stale_regions(tmp_path) == ()
        maker.send_signal(signal.SIGKILL)
        maker.wait()
    assert remove_stale_regions(tmp_path) == (name,)
    assert {path.name for path in tmp_path.iterdir()} == {stranger.name, ours.name}
    ours.close()


def test_a_region_that_does_not_fit_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"too large|space"):
        SharedRegion.make(1 << 62, directory=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_lock_is_the_makers_alone(tmp_path: Path) -> None:
    region = SharedRegion.make(SIZE_BYTES, directory=tmp_path)
    with (tmp_path / region.name).open("r+b") as other, pytest.raises(BlockingIOError):
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    region.close()
