from pathlib import Path

import pytest

from stemyard.stack.errors import RuntimeInUse, StackError
from stemyard.stack.ports import free_ports
from stemyard.stack.runtime import locked, throw_away


def test_one_directory_serves_one_stack_at_a_time(tmp_path: Path) -> None:
    with locked(tmp_path / "up"):
        with pytest.raises(RuntimeInUse, match="already"), locked(tmp_path / "up"):
            pytest.fail("locked twice")
    with locked(tmp_path / "up") as again:
        assert again.logs.is_dir()


def test_nobody_else_reads_the_songs(tmp_path: Path) -> None:
    with locked(tmp_path / "up") as runtime:
        assert runtime.root.stat().st_mode & 0o077 == 0


def test_a_throw_away_directory_is_gone_afterwards(tmp_path: Path) -> None:
    with throw_away(tmp_path) as runtime:
        assert runtime.scratch.is_dir()
    assert list(tmp_path.iterdir()) == []


def test_after_a_failure_the_logs_stay_until_the_next_run(tmp_path: Path) -> None:
    with pytest.raises(StackError), throw_away(tmp_path) as failed:
        (failed.logs / "triton.log").touch()
        raise StackError("did not start")
    assert (failed.logs / "triton.log").exists()
    with throw_away(tmp_path):
        assert not (failed.logs / "triton.log").exists()


def test_a_running_stacks_directory_is_left_alone(tmp_path: Path) -> None:
    with locked(tmp_path / "run-1") as other, throw_away(tmp_path):
        assert other.logs.is_dir()


def test_free_ports_are_different_and_below_the_outgoing_ones() -> None:
    first_outgoing = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    ports = free_ports(5)
    assert len(set(ports)) == 5
    assert max(ports) < first_outgoing
