import fcntl
import shutil
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from orchestrator.scratch import open_scratch, remove_abandoned
from stemcore.errors import ErrorCode, Unavailable


async def test_a_run_folder_is_gone_with_all_it_held(tmp_path: Path) -> None:
    with open_scratch(tmp_path, worker="w") as scratch:
        async with scratch.run_folder("job") as folder:
            (folder / "mix.pcm").write_bytes(b"x")
            assert folder.is_dir()
        assert not folder.exists()
    assert list(tmp_path.iterdir()) == []


def test_what_a_dead_worker_left_is_removed_and_a_live_ones_kept(tmp_path: Path) -> None:
    dead = tmp_path / "dead"
    (dead / "job").mkdir(parents=True)
    (dead / "lock").touch()
    with open_scratch(tmp_path, worker="first"), open_scratch(tmp_path, worker="second"):
        assert sorted(path.name for path in tmp_path.iterdir()) == ["first", "second"]


def test_a_folder_taken_for_a_dead_workers_while_it_is_made_is_made_again(tmp_path: Path) -> None:
    folder = tmp_path / "young"
    folder.mkdir()
    with ThreadPoolExecutor(max_workers=1) as beside, ExitStack() as stack:
        with (folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            opening = beside.submit(stack.enter_context, open_scratch(tmp_path, worker="young"))
            # As `remove_abandoned` does: the folder may be locked again before it is empty.
            shutil.rmtree(folder, ignore_errors=True)
        opening.result(timeout=10)
        remove_abandoned(tmp_path)
        assert (folder / "lock").exists()
    assert list(tmp_path.iterdir()) == []


def test_room_that_is_not_there_is_a_reason_to_wait(tmp_path: Path) -> None:
    with open_scratch(tmp_path, worker="w") as scratch:
        scratch.require(1)
        with pytest.raises(Unavailable) as refusal:
            scratch.require(1 << 60)
    assert refusal.value.code is ErrorCode.SCRATCH_FULL
