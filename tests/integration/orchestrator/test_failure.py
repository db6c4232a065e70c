"""Jobs that cannot be done: bad input, impossible wishes, engines that fail."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from orchestrator.adapters.memory import MemorySeparator
from stemcore.audio_decoder import DecodeLimits
from stemcore.catalogue.port import ServedModel
from stemcore.errors import ErrorCode, Unavailable
from stemcore.model_card import ModelCard
from tests.integration.orchestrator.cards import GAINS, gain_card
from tests.integration.orchestrator.conftest import ENDED, Floor, Jobs
from tests.integration.orchestrator.songs import song_of, wav
from tests.integration.stemcore.encoded import silent_film, tones


def _not_audio(data: bytes) -> Callable[[Path], bytes]:
    return lambda _: data


def _not_numbers(_: Path) -> bytes:
    song = song_of(44_100)
    song[100] = np.nan
    return wav(song)


BAD: dict[str, tuple[ErrorCode, Callable[[Path], bytes]]] = {
    "empty": (ErrorCode.EMPTY_FILE, _not_audio(b"")),
    "text": (ErrorCode.UNSUPPORTED_FORMAT, _not_audio(b"La la la\n" * 500)),
    "playlist": (ErrorCode.PLAYLIST_NOT_ALLOWED, _not_audio(b"ffconcat version 1.0\nfile a.wav\n")),
    "noise": (
        ErrorCode.UNSUPPORTED_FORMAT,
        _not_audio(np.random.default_rng(9).bytes(200_000)),
    ),
    "no samples": (ErrorCode.NO_SAMPLES, _not_audio(wav(tones(0)))),
    "no audio": (
        ErrorCode.NO_AUDIO_STREAM,
        lambda folder: silent_film(folder / "film.mp4").read_bytes(),
    ),
    "not numbers": (ErrorCode.INVALID_SAMPLES, _not_numbers),
    "too long": (ErrorCode.AUDIO_TOO_LONG, _not_audio(wav(tones(4 * 44_100)))),
}


@pytest.mark.parametrize(("code", "source"), BAD.values(), ids=BAD)
async def test_bad_input_ends_the_job_at_once_and_leaves_nothing(
    floor: Floor, jobs: Jobs, tmp_path: Path, code: ErrorCode, source: Callable[[Path], bytes]
) -> None:
    floor.limits = DecodeLimits(max_duration_s=3.0)
    job_id = await jobs.submit(source(tmp_path))
    async with floor.open(), asyncio.timeout(5):
        row = await jobs.become(job_id, *ENDED)
    assert (row["status"], row["error"]["code"]) == ("failed", code)
    assert row["claims"] == 1
    assert floor.results() == []
    assert floor.scratch_files() == []


@pytest.mark.parametrize(
    ("wishes", "code"),
    [
        ({"model": "nobody"}, ErrorCode.UNKNOWN_MODEL),
        ({"model": "refused"}, ErrorCode.MODEL_REFUSED),
        ({"stems": ("drums", "kazoo")}, ErrorCode.UNKNOWN_STEM),
        ({"stems": ()}, ErrorCode.UNKNOWN_STEM),
    ],
)
async def test_wishes_that_cannot_be_met(
    floor: Floor, jobs: Jobs, wishes: dict[str, Any], code: ErrorCode
) -> None:
    refused = ServedModel(card=gain_card("refused"), ready=True, refusal="No parity.")
    floor.models = (*floor.models, refused)
    job_id = await jobs.submit(wav(tones(1_000)), **wishes)
    async with floor.open():
        row = await jobs.become(job_id, *ENDED)
    assert (row["status"], row["error"]["code"]) == ("failed", code)


class Failing:
    """A separator that fails."""

    def __init__(self, error: BaseException, *, times: int) -> None:
        self._inner = MemorySeparator(GAINS)
        self._error = error
        self._left = times

    async def separate(
        self, window: NDArray[np.float32], *, card: ModelCard, stems: Sequence[str]
    ) -> NDArray[np.float32]:
        if self._left:
            self._left -= 1
            raise self._error
        return await self._inner.separate(window, card=card, stems=stems)


AWAY = Unavailable(ErrorCode.ENGINE_UNAVAILABLE, "away")


async def test_an_engine_that_stays_away_only_delays_the_job(floor: Floor, jobs: Jobs) -> None:
    floor.separator = Failing(AWAY, times=2)
    floor.window = 1
    job_id = await jobs.submit(wav(tones(10_000)))
    async with floor.open():
        row = await jobs.become(job_id, *ENDED)
    assert row["status"] == "succeeded"
    assert (await jobs.events(job_id)).count("job.running") == 3


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (AWAY, "engine_unavailable"),
        (ValueError("a mistake of ours"), "internal_error"),
        (asyncio.CancelledError("a mistake of a library's"), "internal_error"),
    ],
)
async def test_the_third_failure_in_a_row_is_the_last(
    floor: Floor, jobs: Jobs, error: BaseException, code: str
) -> None:
    floor.separator = Failing(error, times=100)
    job_id = await jobs.submit(wav(tones(10_000)))
    async with floor.open():
        row = await jobs.become(job_id, *ENDED)
    assert (row["status"], row["error"]["code"]) == ("failed", code)
    assert row["error"]["details"] == {"attempts": 3}
    assert "mistake" not in row["error"]["message"]
    assert floor.results() == []


OUTAGES = [
    ErrorCode.STORAGE_UNAVAILABLE,
    ErrorCode.SCRATCH_FULL,
    ErrorCode.DECODER_UNAVAILABLE,
]


@pytest.mark.parametrize("code", OUTAGES)
async def test_a_trouble_of_the_surroundings_costs_no_attempt(
    floor: Floor, jobs: Jobs, code: ErrorCode
) -> None:
    floor.separator = Failing(Unavailable(code, "away"), times=5)
    floor.window = 1
    job_id = await jobs.submit(wav(tones(10_000)))
    async with floor.open():
        row = await jobs.become(job_id, *ENDED)
    assert row["status"] == "succeeded"
    assert (await jobs.events(job_id)).count("job.running") == 6


async def test_patience_with_the_surroundings_has_an_end(floor: Floor, jobs: Jobs) -> None:
    floor.separator = Failing(Unavailable(ErrorCode.STORAGE_UNAVAILABLE, "away"), times=100)
    floor.outage_patience_s = 0.0
    job_id = await jobs.submit(wav(tones(10_000)))
    async with floor.open():
        row = await jobs.become(job_id, *ENDED)
    assert (row["status"], row["error"]["code"]) == ("failed", "storage_unavailable")
    assert row["error"]["details"] == {"attempts": 3}


async def test_nothing_is_claimed_while_no_model_is_ready(floor: Floor, jobs: Jobs) -> None:
    floor.models = (ServedModel(card=gain_card(), ready=False),)
    job_id = await jobs.submit(wav(tones(10_000)))
    async with floor.slot() as slot:
        assert await slot._next_claim() is None
    assert (await jobs.row(job_id))["claims"] == 0


async def test_a_model_that_gives_no_numbers_is_not_published(floor: Floor, jobs: Jobs) -> None:
    floor.separator = MemorySeparator({**GAINS, "drums": float("nan")})
    job_id = await jobs.submit(wav(tones(10_000)))
    async with floor.open():
        row = await jobs.become(job_id, *ENDED)
    assert (row["status"], row["error"]["code"]) == ("failed", "engine_failed")
