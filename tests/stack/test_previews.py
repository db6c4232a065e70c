"""A short job behind a long one, through the whole one-machine stack."""

from pathlib import Path
from uuid import UUID

import asyncpg
import pytest
import soundfile

from stemyard.client import StemyardClient
from stemyard.stack.waiting import until
from synthesis import song
from tests.stack.conftest import finished, signed_in, tiny_stack

LONG_S, PREVIEW_S = 150.0, 10.0
BEGUN_WITHIN_S = 120.0
PREVIEW_SEGMENTS = 2
# By the time alone and three segments more the preview is done; what ends as it begins or as its
# last segment is joined may be counted too.
LONG_SEGMENTS_BESIDE_AT_MOST = 3 + 1


def written(path: Path, *, duration_s: float) -> Path:
    made = song(seed=7, duration_s=duration_s)
    soundfile.write(path, made.mix.T, made.sample_rate_hz, subtype="PCM_16")
    return path


async def test_a_preview_overtakes_a_long_job(
    runtimes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # One event for each segment.
    monkeypatch.setenv("STEMYARD_ORCHESTRATOR_PROGRESS_EVERY_S", "0")
    long_song = written(tmp_path / "long.wav", duration_s=LONG_S)
    preview_song = written(tmp_path / "preview.wav", duration_s=PREVIEW_S)
    async with (
        tiny_stack(runtimes / "previews", models=("tiny",)) as stack,
        signed_in(stack, email="album@example.com") as album,
        signed_in(stack, email="preview@example.com") as other,
    ):
        long = await album.submit(long_song)
        await begun(album, long.id)
        preview = await finished(other, await other.submit(preview_song))
        assert preview.status == "succeeded"
        assert preview.document["ledger"]["segments"] == PREVIEW_SEGMENTS
        assert not (await album.job(long.id)).is_over, "the long song is too short for this test"
        database = await asyncpg.connect(stack.database.dsn(), timeout=5, command_timeout=10)
        try:
            beside = await segments_beside(database, UUID(long.id), UUID(preview.id))
        finally:
            await database.close()
    assert beside <= LONG_SEGMENTS_BESIDE_AT_MOST


async def begun(client: StemyardClient, job_id: str) -> None:
    async def is_separating() -> bool:
        return (await client.job(job_id)).progress > 0.1

    await until(is_separating, timeout_s=BEGUN_WITHIN_S)


async def segments_beside(
    database: "asyncpg.Connection[asyncpg.Record]", long: UUID, preview: UUID
) -> int:
    """Segments of the long job that were done while the preview was being separated."""
    return await database.fetchval(
        """
        WITH separating AS (
            SELECT min(at) AS began, max(at) AS ended FROM job_events
             WHERE job_id = $2 AND data->>'stage' = 'separating'
        )
        SELECT count(*) FROM job_events, separating
         WHERE job_id = $1 AND data->>'stage' = 'separating' AND at BETWEEN began AND ended
        """,
        long,
        preview,
    )
