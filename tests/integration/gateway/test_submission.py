"""From a form to a durable job, or to nothing."""

import hashlib
from typing import TYPE_CHECKING
from uuid import UUID

import pytest

from stemcore.database.outbox import JOBS_TOPIC
from stemcore.messages import JobRequested, decode
from tests.integration.gateway.conftest import Caller, Gateway
from tests.integration.gateway.songs import wav

if TYPE_CHECKING:
    from stemcore.database.pool import Pool


async def test_an_accepted_song_is_stored_written_down_and_announced(
    caller: Caller, gateway: Gateway, pool: "Pool"
) -> None:
    song = wav()
    answer = await caller.submit(file=("My Song.wav", song), metadata='{"album": "First"}')

    assert answer.status_code == 202
    job = answer.json()
    assert answer.headers["Location"] == f"/v1/jobs/{job['id']}"
    assert job["status"] == "accepted"
    assert job["source"]["name"] == "My Song.wav"
    assert job["source"]["sha256"] == hashlib.sha256(song).hexdigest()
    assert job["source"]["duration_s"] == pytest.approx(0.5)
    assert job["source"]["codec"] == "pcm_s16le"
    assert job["metadata"] == {"album": "First"}
    assert job["parameters"] == {
        "model": "stemyard-mini",
        "stems": ["drums", "bass", "other", "vocals"],
        "output": {"format": "wav", "bit_depth": 24, "sample_rate": None},
        "overlap": None,
        "clip": "clamp",
    }
    assert (gateway.root / "sources" / job["id"] / "original").read_bytes() == song
    payload = await pool.fetchval(
        "SELECT payload FROM outbox WHERE topic = $1 AND key = $2", JOBS_TOPIC, job["id"]
    )
    message = decode(payload)
    assert isinstance(message, JobRequested)
    assert (message.job_id, message.account_id) == (UUID(job["id"]), caller.account_id)
    events = await pool.fetch("SELECT seq, type FROM job_events WHERE job_id = $1", message.job_id)
    assert [tuple(event) for event in events] == [(1, "job.accepted")]
