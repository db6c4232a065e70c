"""Jobs requested over a real broker: each queued once, whatever happens on the way."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

import pytest

from orchestrator.dispatch import DispatchPath
from orchestrator.intake import Intake
from orchestrator.job_requests import JobRequests
from orchestrator.sweeper import Sweeper, SweepRules
from stemcore.bus.kafka.source import KafkaSource
from stemcore.storage.filesystem import FilesystemStore
from stemcore.topics import JOBS_TOPIC
from stemyard.stack.waiting import until
from tests.integration.kafka_records import Channel
from tests.integration.orchestrator.conftest import Jobs
from tests.servers.kafka import running_kafka

if TYPE_CHECKING:
    from stemcore.database.pool import Pool
    from tests.servers.kafka import RunningKafka

SONG = b"not decoded here"
WITHIN_S = 60.0
UNDISPATCHED_AFTER_S = 30.0


@pytest.fixture
def dispatched() -> list[DispatchPath]:
    """By what jobs were queued."""
    return []


@pytest.fixture
def channel(kafka_server: "RunningKafka") -> Channel:
    return Channel(bootstrap=kafka_server.bootstrap, partitions=3)


@asynccontextmanager
async def taking_in(
    pool: "Pool", channel: Channel, dispatched: list[DispatchPath], *, group: str = "intake"
) -> AsyncGenerator[None]:
    settings = channel.settings(consumer_group=group, session_timeout_s=6)
    source = KafkaSource(settings, channel.topics(), topic=channel.name)
    intake = Intake(
        pool, source, JobRequests(), path=DispatchPath.KAFKA, dispatched=dispatched.append
    )
    task = asyncio.create_task(intake.run())
    try:
        yield
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def accepted(pool: "Pool", jobs: Jobs, count: int) -> dict[UUID, str]:
    """Jobs not yet dispatched, and the message of each."""
    made: dict[UUID, str] = {}
    for _ in range(count):
        job_id = await jobs.submit(SONG, queued=False)
        made[job_id] = await pool.fetchval(
            "SELECT payload FROM outbox WHERE topic = $1 AND key = $2", JOBS_TOPIC, str(job_id)
        )
    return made


async def all_queued(jobs: Jobs, job_ids: Sequence[UUID]) -> None:
    async def so() -> bool:
        waiting = await jobs.pool.fetchval(
            "SELECT count(*) FROM jobs WHERE id = ANY($1::uuid[]) AND status <> 'queued'", job_ids
        )
        return waiting == 0

    await until(so, timeout_s=WITHIN_S)


async def buried(pool: "Pool", count: int) -> None:
    async def so() -> bool:
        return await pool.fetchval("SELECT count(*) FROM dead_letters") == count

    await until(so, timeout_s=WITHIN_S)


async def test_duplicates_disorder_and_a_replay_of_everything_have_one_effect(
    pool: "Pool", jobs: Jobs, channel: Channel, dispatched: list[DispatchPath]
) -> None:
    made = await accepted(pool, jobs, 12)
    payloads = [*reversed(made.values()), *made.values()]
    for number, payload in enumerate(payloads):
        await channel.write(payload, key=str(number))
    await channel.write("?", b"\xff", key="odd")
    async with taking_in(pool, channel, dispatched):
        await all_queued(jobs, list(made))
        await buried(pool, 2)
    # Another group begins at offset 0, and the last record tells when it has read all.
    last = await accepted(pool, jobs, 1)
    for partition in range(3):
        await channel.write(*last.values(), partition=partition)
    async with taking_in(pool, channel, dispatched, group="again"):
        await all_queued(jobs, list(last))
        await read_to_the_end(channel, group="again")
    for job_id in [*made, *last]:
        assert await jobs.events(job_id) == ["job.accepted", "job.queued"]
    assert dispatched == [DispatchPath.KAFKA] * 13
    await buried(pool, 2)


async def read_to_the_end(channel: Channel, *, group: str) -> None:
    """Every record is committed in that group."""

    async def so() -> bool:
        return await channel.lag(group) == 0

    await until(so, timeout_s=WITHIN_S)


async def test_what_is_not_understood_lies_between_others_and_holds_nothing_up(
    pool: "Pool", jobs: Jobs, channel: Channel, dispatched: list[DispatchPath]
) -> None:
    made = await accepted(pool, jobs, 3)
    first, second, third = made.values()
    odd = [b"\xff\xfe", '{"type": "job_requested", "version": 99}', None, b"\x00", "[" * 50_000]
    await channel.write(first, odd[0], odd[1], second, *odd[2:], third, partition=1)
    async with taking_in(pool, channel, dispatched):
        await all_queued(jobs, list(made))
        await buried(pool, len(odd))
    rows = await pool.fetch("SELECT payload FROM outbox WHERE topic LIKE '%dlq%' ORDER BY id")
    assert all('"partition":1' in row["payload"] for row in rows)
    assert [f'"offset":{n}' in r["payload"] for n, r in zip((1, 2, 4, 5, 6), rows, strict=True)]


async def test_intakes_that_come_and_go_lose_and_repeat_nothing(
    pool: "Pool", jobs: Jobs, channel: Channel, dispatched: list[DispatchPath]
) -> None:
    made = await accepted(pool, jobs, 40)
    payloads = iter(made.values())

    async def write(count: int) -> None:
        for number in range(count):
            await channel.write(next(payloads), key=str(number))

    async with taking_in(pool, channel, dispatched):
        await write(10)
        async with taking_in(pool, channel, dispatched):
            await write(10)
            async with taking_in(pool, channel, dispatched):
                await write(10)
        await write(10)
        await all_queued(jobs, list(made))
    for job_id in made:
        assert await jobs.events(job_id) == ["job.accepted", "job.queued"]
    assert len(dispatched) == 40


async def test_a_dropped_message_is_found_by_the_sweep_and_without_one_it_finds_nothing(
    pool: "Pool",
    jobs: Jobs,
    store: FilesystemStore,
    channel: Channel,
    dispatched: list[DispatchPath],
) -> None:
    rules = SweepRules(
        period_s=0.2,
        undispatched_after_s=UNDISPATCHED_AFTER_S,
        doomed_for_s=60,
        max_claims=3,
        inbox_kept_days=60,
    )
    sweeper = Sweeper(pool, store, rules=rules, dispatched=dispatched.append)
    made = await accepted(pool, jobs, 5)
    dropped, *others = made
    for job_id in others:
        await channel.write(made[job_id], key=str(job_id))
    async with taking_in(pool, channel, dispatched):
        await all_queued(jobs, others)
        await sweeper.sweep()
        assert dispatched == [DispatchPath.KAFKA] * 4
        await pool.execute("UPDATE jobs SET created_at = created_at - interval '31 seconds'")
        await sweeper.sweep()
        await sweeper.sweep()
    await all_queued(jobs, [dropped])
    assert dispatched == [DispatchPath.KAFKA] * 4 + [DispatchPath.SWEEP]


async def test_the_intake_lives_on_while_the_broker_is_away(
    pool: "Pool", jobs: Jobs, dispatched: list[DispatchPath], tmp_path: Path
) -> None:
    made = await accepted(pool, jobs, 2)
    early, late = made.values()
    async with running_kafka(tmp_path) as server:
        channel = Channel(bootstrap=server.bootstrap)
        await channel.write(early)
        await server.stop()
        async with taking_in(pool, channel, dispatched):
            await server.start()
            await all_queued(jobs, list(made)[:1])
            await server.stop()
            await server.start()
            await channel.write(late)
            await all_queued(jobs, list(made))
    assert len(dispatched) == 2
