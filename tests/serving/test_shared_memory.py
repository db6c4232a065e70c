import os
from pathlib import Path

from serving.shared_memory import region_prefix, remove_stale_regions

# Above the kernel's limit for process ids.
NOBODYS_PID = 2**22 + 1


def region(directory: Path, pid: int) -> str:
    path = directory / f"{region_prefix(pid)}5f3c"
    path.touch()
    return path.name


def test_regions_of_dead_servers_and_of_our_own_past_are_removed(tmp_path: Path) -> None:
    dead, own = region(tmp_path, NOBODYS_PID), region(tmp_path, os.getpid())
    assert set(remove_stale_regions(tmp_path)) == {dead, own}
    assert list(tmp_path.iterdir()) == []


def test_regions_of_live_servers_and_of_strangers_stay(tmp_path: Path) -> None:
    region(tmp_path, os.getppid())
    (tmp_path / "sem.other").touch()
    (tmp_path / f"stemyard-1-{NOBODYS_PID}-other-namespace").touch()
    assert remove_stale_regions(tmp_path) == ()
    assert len(list(tmp_path.iterdir())) == 3
