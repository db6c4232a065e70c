"""Jobs that other systems ask for by message."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from pydantic import ValidationError

from orchestrator.dispatch import DispatchPath
from orchestrator.intake import Intake
from orchestrator.submissions import ServiceAccount, Submissions, SubmissionSettings
from stemcore.bus.memory import MemoryBus
from stemcore.catalogue.memory import MemoryCatalogue
from stemcore.catalogue.port import ServedModel
from stemcore.errors import Unavailable
from stemcore.ids import new_id
from stemcore.messages import DeadLetter, SubmitJob, encode
from stemcore.model_card import ModelCard, StemSource
from stemcore.storage.filesystem import FilesystemStore
from stemcore.topics import DEAD_LETTERS_TOPIC, SUBMISSIONS_TOPIC
from tests.integration.orchestrator.cards import gain_card
from tests.integration.orchestrator.conftest import Jobs

if TYPE_CHECKING:
    from stemcore.database.pool import Pool

KEY = "submissions/studio/song.wav"
EMAIL = "Studio@example.com"
SETTINGS = SubmissionSettings.model_validate(
    {
        "accounts": {
            "studio": {"email": EMAIL, "prefix": "submissions/studio/"},
            "label": {"email": EMAIL, "prefix": "submissions/label/"},
            "nobody": {"email": "nobody@example.com", "prefix": "submissions/studio/"},
        },
        "default_model": "gains",
        "model_patience_s": 0,
    }
)


@pytest.fixture
async def account_id(pool: "Pool") -> UUID:
    account_id = new_id()
    await pool.execute(
        "INSERT INTO accounts (id, email, full_name, password_hash) VALUES ($1, $2, '', '')",
        account_id,
        EMAIL.lower(),
    )
    return account_id


@pytest.fixture
async def source(store: FilesystemStore) -> str:
    async def data() -> AsyncIterator[bytes]:
        yield b"a song"

    for key in (KEY, "submissions/label/song.wav", "sources/x/original"):
        await store.put(key, data())

    async def nothing() -> AsyncIterator[bytes]:
        for chunk in ():
            yield chunk

    await store.put("submissions/studio/empty.wav", nothing())
    return KEY


def card_with(*stems: str) -> ModelCard:
    sources = tuple(StemSource(stem=stem, model="stemyard-mini", output=stem) for stem in stems)
    return replace(gain_card("stemyard-mini"), stems=sources)


def submission(**changes: Any) -> SubmitJob:
    return SubmitJob.model_validate(
        {
            "event_id": new_id(),
            "service_account": "studio",
            "source_key": KEY,
            "filename": "Song.wav",
        }
        | changes
    )


@pytest.fixture
def dispatched() -> list[DispatchPath]:
    return []


@pytest.fixture
def bus() -> MemoryBus:
    return MemoryBus(topic=SUBMISSIONS_TOPIC)


@pytest.fixture
def intake(
    pool: "Pool", bus: MemoryBus, store: FilesystemStore, dispatched: list[DispatchPath]
) -> Intake:
    submissions = Submissions(
        SETTINGS,
        catalogue=MemoryCatalogue(
            ServedModel(card=gain_card(), ready=True),
            ServedModel(card=card_with("drums", "vocals"), ready=False),
        ),
        store=store,
        max_source_bytes=100,
    )
    return Intake(pool, bus, submissions, path=DispatchPath.KAFKA, dispatched=dispatched.append)


async def take(intake: Intake, bus: MemoryBus, *messages: SubmitJob) -> None:
    for message in messages:
        await bus.publish(encode(message))
    async with aclosing(bus.deliveries()) as deliveries:
        for _ in messages:
            await intake.take(await anext(deliveries))


async def letters(pool: "Pool") -> list[DeadLetter]:
    rows = await pool.fetch(
        "SELECT payload FROM outbox WHERE topic = $1 ORDER BY id", DEAD_LETTERS_TOPIC
    )
    assert await pool.fetchval("SELECT count(*) FROM dead_letters") == len(rows)
    return [DeadLetter.model_validate_json(row["payload"]) for row in rows]


async def the_job(pool: "Pool") -> Any:
    (row,) = await pool.fetch("SELECT * FROM jobs")
    return row


@pytest.mark.usefixtures("source")
async def test_a_submission_becomes_a_queued_job(
    intake: Intake,
    bus: MemoryBus,
    pool: "Pool",
    jobs: Jobs,
    account_id: UUID,
    dispatched: list[DispatchPath],
) -> None:
    message = submission(
        parameters={"stems": ["drums"], "output": {"format": "flac", "bit_depth": 16}},
        priority=3,
        metadata={"album": "First"},
        source_sha256="ab" * 32,
    )
    await take(intake, bus, message)
    row = await the_job(pool)
    assert (row["account_id"], row["status"], row["priority"]) == (account_id, "queued", 3)
    assert (row["source_key"], row["source_name"], row["source_bytes"]) == (KEY, "Song.wav", 6)
    assert row["source_sha256"] == "ab" * 32
    assert row["metadata"] == {"album": "First"}
    assert row["parameters"]["model"] == "gains"
    assert row["parameters"]["stems"] == ["drums"]
    assert row["parameters"]["output"] == {"format": "flac", "bit_depth": 16, "sample_rate": None}
    assert await jobs.events(row["id"]) == ["job.accepted", "job.queued"]
    assert dispatched == [DispatchPath.KAFKA]
    assert await letters(pool) == []


@pytest.mark.usefixtures("source", "account_id")
async def test_a_submission_that_comes_twice_is_one_job(
    intake: Intake, bus: MemoryBus, pool: "Pool", dispatched: list[DispatchPath]
) -> None:
    message = submission()
    await take(intake, bus, message, message)
    await take(intake, bus, message)
    assert (await the_job(pool))["source_sha256"] is None
    assert len(dispatched) == 1


@pytest.mark.usefixtures("source", "account_id")
async def test_submissions_of_one_account_at_once_do_not_stand_in_each_others_way(
    intake: Intake, bus: MemoryBus, pool: "Pool"
) -> None:
    for _ in range(20):
        await bus.publish(encode(submission()))
    async with aclosing(bus.deliveries()) as deliveries:
        at_once = [await anext(deliveries) for _ in range(20)]
    await asyncio.gather(*map(intake.take, at_once))
    assert await pool.fetchval("SELECT count(*) FROM jobs") == 20


@pytest.mark.usefixtures("source", "account_id")
async def test_two_systems_that_chose_the_same_id_have_a_job_each(
    intake: Intake, bus: MemoryBus, pool: "Pool"
) -> None:
    mine = submission()
    theirs = submission(
        event_id=mine.event_id,
        service_account="label",
        source_key="submissions/label/song.wav",
    )
    await take(intake, bus, mine, theirs)
    assert await pool.fetchval("SELECT count(*) FROM jobs") == 2


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"service_account": "stranger"}, "no service account 'stranger'"),
        ({"service_account": "nobody"}, "'nobody@example.com' does not exist"),
        ({"source_key": "submissions/label/song.wav"}, "does not lie below"),
        ({"source_key": "sources/x/original"}, "does not lie below"),
        ({"source_key": "submissions/studio/../label/song.wav"}, "not an object key"),
        ({"source_key": "submissions/studio/"}, "not an object key"),
        ({"source_key": "submissions/studio/gone.wav"}, "no object"),
        ({"source_key": "submissions/studio"}, "does not lie below"),
        ({"source_key": "submissions/studio/.partial/x"}, "not an object key"),
        ({"source_key": "submissions/studio/song.wav/x"}, "no object"),
        ({"source_key": f"submissions/studio/{'x' * 300}"}, "not an object key"),
        ({"source_key": "submissions/studio/empty.wav"}, "empty_file"),
        ({"parameters": {"model": "other"}}, "unknown_model"),
        ({"parameters": {"stems": ["kazoo"]}}, "unknown_stem"),
        ({"parameters": {"preset": "loudest"}}, "unknown_preset"),
        ({"parameters": {"preset": "drums", "stems": ["kazoo"]}}, "preset_unavailable"),
        ({"parameters": {"colour": "red"}}, "colour"),
        ({"parameters": {"output": {"format": "flac", "bit_depth": 32}}}, "bit_depth"),
        ({"parameters": {"overlap": 0.9}}, "overlap"),
        ({"parameters": {"shifts": 11}}, "shifts"),
        ({"parameters": {"stems": ["no_kazoo"]}}, "unknown_stem"),
        ({"parameters": {"priority": 1}}, "priority stand beside the parameters"),
        ({"priority": 11}, "priority"),
        ({"metadata": {"a": "\x00"}}, "metadata"),
        ({"metadata": {"a": "x" * 20_000}}, "metadata"),
    ],
)
@pytest.mark.usefixtures("source", "account_id")
async def test_what_is_refused_is_a_dead_letter_with_its_reason(
    intake: Intake,
    bus: MemoryBus,
    pool: "Pool",
    dispatched: list[DispatchPath],
    changes: dict[str, Any],
    reason: str,
) -> None:
    message = submission(**changes)
    await take(intake, bus, message, message)
    (letter,) = await letters(pool)
    assert reason in letter.reason
    assert letter.topic == SUBMISSIONS_TOPIC
    assert json.loads(letter.payload) == json.loads(encode(message))
    assert await pool.fetchval("SELECT count(*) FROM jobs") == 0
    assert dispatched == []


class Loading:
    """A catalogue whose models come one after the other."""

    def __init__(self, *models: ServedModel) -> None:
        self.models_to_come = list(models)
        self.loaded: tuple[ServedModel, ...] = (self.models_to_come.pop(0),)

    async def models(self) -> tuple[ServedModel, ...]:
        return self.loaded

    def load_next(self) -> None:
        self.loaded += (self.models_to_come.pop(0),)


@pytest.mark.parametrize("parameters", [{"model": "stemyard-mini"}, {"preset": "vocals"}])
@pytest.mark.usefixtures("source", "account_id")
async def test_a_submission_waits_for_a_model_that_is_being_loaded(
    pool: "Pool", bus: MemoryBus, store: FilesystemStore, parameters: dict[str, str]
) -> None:
    catalogue = Loading(
        ServedModel(card=gain_card(), ready=True),
        ServedModel(card=card_with("drums", "vocals"), ready=True),
    )
    settings = SETTINGS.model_copy(update={"model_patience_s": 3_600})
    submissions = Submissions(settings, catalogue=catalogue, store=store, max_source_bytes=100)
    intake = Intake(pool, bus, submissions, path=DispatchPath.KAFKA, dispatched=lambda _: None)
    await bus.publish(encode(submission(parameters=parameters)))
    async with aclosing(bus.deliveries()) as deliveries:
        delivery = await anext(deliveries)
        with pytest.raises(Unavailable):
            await intake.take(delivery)
        catalogue.load_next()
        await intake.take(delivery)
    assert (await the_job(pool))["parameters"]["model"] == "stemyard-mini"
    assert await letters(pool) == []


@pytest.mark.usefixtures("source", "account_id")
async def test_what_was_refused_stays_refused(
    intake: Intake, bus: MemoryBus, pool: "Pool", store: FilesystemStore
) -> None:
    async def data() -> AsyncIterator[bytes]:
        yield b"late"

    late = "submissions/studio/late.wav"
    message = submission(source_key=late)
    await take(intake, bus, message)
    await store.put(late, data())
    await take(intake, bus, message)
    assert await pool.fetchval("SELECT count(*) FROM jobs") == 0
    await take(intake, bus, submission(source_key=late))
    assert (await the_job(pool))["source_key"] == late


@pytest.mark.usefixtures("source", "account_id")
async def test_a_song_beyond_the_limit_is_refused(
    intake: Intake, bus: MemoryBus, pool: "Pool", store: FilesystemStore
) -> None:
    async def data() -> AsyncIterator[bytes]:
        yield bytes(101)

    await store.put("submissions/studio/large.wav", data())
    await take(intake, bus, submission(source_key="submissions/studio/large.wav"))
    assert "file_too_large" in (await letters(pool))[0].reason


@pytest.mark.parametrize("change", [{"filename": "a/b.wav"}, {"filename": ""}, {"event_id": 5}])
async def test_a_submission_out_of_shape_is_named_so(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        submission(**change)


def golden(name: str) -> str:
    folder = Path(__file__).parents[2] / "contract" / "golden"
    return (folder / f"{name}.json").read_text()


@pytest.mark.usefixtures("account_id")
async def test_the_sample_of_the_contract_is_a_job_here(
    intake: Intake, bus: MemoryBus, pool: "Pool", store: FilesystemStore
) -> None:
    async def data() -> AsyncIterator[bytes]:
        yield b"rain"

    await store.put("submissions/studio/2026/November Rain.flac", data())
    await bus.publish(golden("submit_job_v1"))
    async with aclosing(bus.deliveries()) as deliveries:
        await intake.take(await anext(deliveries))
    row = await the_job(pool)
    assert row["source_name"] == "November Rain (ライブ).flac"
    assert row["parameters"]["output"] == {"format": "flac", "bit_depth": 16, "sample_rate": 44100}
    assert (row["priority"], row["metadata"]["track"]) == (-3, 7)


@pytest.mark.usefixtures("source", "account_id")
async def test_a_preset_may_be_asked_for_by_message(
    intake: Intake, bus: MemoryBus, pool: "Pool"
) -> None:
    await bus.publish(golden("submit_job_v1_preset"))
    async with aclosing(bus.deliveries()) as deliveries:
        await intake.take(await anext(deliveries))
    parameters = (await the_job(pool))["parameters"]
    assert (parameters["preset"], parameters["model"]) == ("drums", "gains")
    assert (parameters["stems"], parameters["output"]["format"]) == (["drums"], "flac")


@pytest.mark.parametrize(
    "prefix",
    [
        "",
        "/",
        "studio",
        "/studio/",
        "sources/",
        "results/x/",
        "a/../b/",
        "uploads/",
        "temporary/x/",
    ],
)
def test_a_prefix_that_would_open_what_belongs_to_others_is_no_setting(prefix: str) -> None:
    with pytest.raises(ValidationError):
        ServiceAccount(email=EMAIL, prefix=prefix)
