"""Throughput by concurrency and batch size, with what Triton itself counts of its batches.

`python -m bench.batching` serves the bundled model on this CPU with batches of up to 1, 2, 4 and 8.
On a machine with a GPU name its server's door and models, each once for every `max_batch_size`:
`python -m bench.batching --address HOST:8001 --models htdemucs-b1 htdemucs-b16`.
"""

import argparse
import asyncio
import shutil
import tempfile
import time
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import SecretStr

from bench import record
from bench.songs import CACHE, ROOT
from exporters.card_writer import ModelFolder
from orchestrator.adapters.shared_transport import open_transport
from orchestrator.adapters.triton import TritonSeparator
from stemcore.catalogue.triton import TritonCatalogue, TritonSettings, open_triton
from stemcore.gpus import visible_gpus
from stemcore.model_card import ModelCard
from stemyard.stack import triton
from stemyard.stack.ports import FreePorts
from stemyard.stack.runtime import throw_away
from stemyard.stack.settings import StackSettings
from stemyard.stack.supervisor import supervisor
from stemyard.stack.triton import TritonDoors
from stemyard.stack.waiting import until

SMALL = ROOT / "model_repository" / "stemyard-mini"
BATCHES = (1, 2, 4, 8)
COUNTED_WITHIN_S = 10.0


def write_batched(repository: Path, *, max_batch_size: int) -> str:
    """The bundled model in the profile that batches on a CPU; returns its name."""
    card = ModelFolder(SMALL).read_card()
    name = f"mini-b{max_batch_size}"
    folder = ModelFolder(repository / name)
    folder.model.parent.mkdir(parents=True)
    shutil.copy(SMALL / "1" / "model.onnx", folder.model)
    batched = replace(
        card,
        name=name,
        stems=tuple(replace(source, model=name) for source in card.stems),
        profile="cpu-batched",
        max_batch_size=max_batch_size,
    )
    folder.write(batched, threads=0)
    return name


@asynccontextmanager
async def small_server() -> AsyncGenerator[tuple[TritonSettings, Sequence[str]]]:
    """Triton on this CPU, with the small model once for each batch size."""
    with tempfile.TemporaryDirectory() as folder, throw_away(CACHE) as runtime:
        names = [write_batched(Path(folder), max_batch_size=size) for size in BATCHES]
        doors = TritonDoors.choose(FreePorts())
        stack = StackSettings(repository=Path(folder), default_model=names[0])
        async with supervisor() as processes:
            await processes.start(triton.plan(doors, runtime, stack)).ready()
            secret = SecretStr(doors.shared_memory_secret)
            yield TritonSettings(address=doors.grpc_address, shared_memory_secret=secret), names


class Server:
    """A server to be asked, and its counters."""

    def __init__(self, client: Any, separator: TritonSeparator) -> None:
        self._client = client
        self._separator = separator

    async def row(self, card: ModelCard, *, concurrency: int, segments: int) -> dict[str, Any]:
        """So many segments, so many at a time."""
        before = await self._counts(card.name)
        started = time.perf_counter()
        waits_s = await self._separate(card, concurrency=concurrency, segments=segments)
        wall_s = time.perf_counter() - started
        inferences, executions = await self._counted(card.name, before, segments=segments)
        return {
            "model": card.name,
            "max_batch_size": card.max_batch_size,
            "concurrency": concurrency,
            "segments_per_s": round(segments / wall_s, 3),
            "times_real_time": round(segments * card.segment_s / wall_s, 2),
            "wait_s": round(sum(waits_s) / len(waits_s), 3),
            "inferences": inferences,
            "executions": executions,
            "mean_batch": round(inferences / executions, 2),
        }

    async def _counted(
        self, model: str, before: tuple[int, int], *, segments: int
    ) -> tuple[int, int]:
        """Inferences and executions since then: the server counts after it has answered."""
        since = (0, 0)

        async def are_counted() -> bool:
            nonlocal since
            now = await self._counts(model)
            since = (now[0] - before[0], now[1] - before[1])
            return since[0] >= segments

        await until(are_counted, timeout_s=COUNTED_WITHIN_S)
        return since

    async def _counts(self, model: str) -> tuple[int, int]:
        answer = await self._client.get_inference_statistics(model)
        (statistics,) = answer.model_stats
        return statistics.inference_count, statistics.execution_count

    async def _separate(self, card: ModelCard, *, concurrency: int, segments: int) -> list[float]:
        mix = np.random.default_rng(0).standard_normal(
            (card.channels, card.segment_samples), dtype=np.float32
        )
        waits_s: list[float] = []

        async def one_after_the_other(turns: Iterator[int]) -> None:
            for _ in turns:
                began = time.perf_counter()
                await self._separator.separate(mix, card=card, stems=card.stem_names)
                waits_s.append(time.perf_counter() - began)

        turns = iter(range(segments))
        await asyncio.gather(*(one_after_the_other(turns) for _ in range(concurrency)))
        return waits_s


async def table(
    settings: TritonSettings, models: Sequence[str], *, concurrencies: Sequence[int], rounds: int
) -> list[dict[str, Any]]:
    """A row for each model and concurrency, `rounds` segments per place and 8 at least."""
    async with open_triton(settings) as client, open_transport(client, settings) as transport:
        catalogue = TritonCatalogue(client, timeout_s=settings.metadata_timeout_s)
        cards = {served.card.name: served.card for served in await catalogue.models()}
        server = Server(client, TritonSeparator(transport, catalogue, settings))
        rows: list[dict[str, Any]] = []
        for model in models:
            await server.row(cards[model], concurrency=1, segments=1)
            for concurrency in concurrencies:
                segments = max(8, rounds * concurrency)
                row = await server.row(cards[model], concurrency=concurrency, segments=segments)
                print(*(f"{name} {value}" for name, value in row.items()), flush=True)
                rows.append(row)
    return rows


async def measure(chosen: argparse.Namespace) -> list[dict[str, Any]]:
    sizes = {"concurrencies": chosen.concurrency, "rounds": chosen.rounds}
    if chosen.address is not None:
        settings = TritonSettings(address=chosen.address, transport="grpc")
        return await table(settings, chosen.models, **sizes)
    async with small_server() as (settings, names):
        return await table(settings, names, **sizes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--address", help="of a running server instead of one on this CPU")
    parser.add_argument("--models", nargs="+", default=[], help="on that server")
    parser.add_argument("--concurrency", nargs="+", type=int, default=[1, 2, 4, 8])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--name", default="batching", help="of the file of results")
    parser.add_argument("--try-out", action="store_true", help="print only, record nothing")
    chosen = parser.parse_args()
    if chosen.address is not None and not chosen.models:
        parser.error("--address needs --models")
    figures = {"served_by": chosen.address or "this CPU", "rows": asyncio.run(measure(chosen))}
    if chosen.address is None and not visible_gpus():
        figures["gpu"] = "not measured"
    if not chosen.try_out:
        print(record.write(chosen.name, figures))


if __name__ == "__main__":
    main()
