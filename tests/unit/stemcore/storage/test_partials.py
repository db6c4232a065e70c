from pathlib import Path

from stemcore.storage.partials import partial_file, remove_abandoned


def test_a_file_moved_away_stays_and_another_goes(tmp_path: Path) -> None:
    kept = tmp_path.with_name("kept")
    with partial_file(tmp_path) as (file, path):
        file.write(b"x")
        file.flush()
        path.rename(kept)
    with partial_file(tmp_path) as (file, _):
        file.write(b"y")
    assert kept.read_bytes() == b"x"
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_writer_left_goes_and_what_is_being_written_stays(tmp_path: Path) -> None:
    (tmp_path / "left").write_bytes(b"half")
    with partial_file(tmp_path) as (_, path):
        remove_abandoned(tmp_path)
        assert list(tmp_path.iterdir()) == [path]


def test_where_nothing_was_ever_written_there_is_nothing_to_remove(tmp_path: Path) -> None:
    remove_abandoned(tmp_path / "absent")
