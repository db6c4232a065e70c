from pathlib import Path

import asyncpg

from stemyard.stack import database
from stemyard.stack.database import ClusterTemplate
from stemyard.stack.runtime import locked
from stemyard.stack.supervisor import supervisor
from tests.stack.conftest import tiny_settings


def cluster(folder: Path, version: str) -> Path:
    (folder / "base").mkdir(parents=True)
    (folder / "PG_VERSION").write_text(version)
    return folder


def test_a_kept_cluster_is_copied_whole(tmp_path: Path) -> None:
    template = ClusterTemplate.of(tmp_path)
    assert not template.copy_to(tmp_path / "too-early")
    template.keep(cluster(tmp_path / "made", "18"))
    assert template.copy_to(tmp_path / "data")
    assert (tmp_path / "data" / "PG_VERSION").read_text() == "18"
    assert (tmp_path / "data" / "base").is_dir()


def test_the_first_to_keep_one_wins(tmp_path: Path) -> None:
    template = ClusterTemplate.of(tmp_path)
    template.keep(cluster(tmp_path / "first", "18"))
    template.keep(cluster(tmp_path / "second", "19"))
    assert (template.path / "PG_VERSION").read_text() == "18"
    assert [path.name for path in tmp_path.glob("template-*")] == [template.path.name]


async def test_a_copied_cluster_serves_the_same_schema_as_a_made_one(
    runtimes: Path,
) -> None:
    settings = tiny_settings(runtimes=runtimes / "templates")
    settings.runtimes.mkdir()
    schemas: list[list[str]] = []
    for place in ("made", "copied"):
        with locked(settings.runtimes / place) as runtime:
            async with supervisor() as processes:
                running = await database.start_database(processes, settings, runtime)
                schemas.append(await tables(running.dsn()))
                assert processes["postgresql"].starts == 1
    assert "jobs.status" in schemas[0]
    assert schemas[0] == schemas[1]


async def tables(dsn: str) -> list[str]:
    connection = await asyncpg.connect(dsn)
    try:
        rows = await connection.fetch(
            "SELECT table_name || '.' || column_name AS name FROM information_schema.columns"
            " WHERE table_schema = 'public' ORDER BY 1"
        )
    finally:
        await connection.close()
    return [row["name"] for row in rows]
