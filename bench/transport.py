"""What a segment costs a client: in messages or shared memory, fp32 or fp16, few stems or many.

The engine stands idle, so that its time hides nothing: it gives back the mix at once. Each figure
is taken in processes of their own. `python -m bench.transport` starts everything it measures.
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import psutil
from pydantic import SecretStr

from bench import record, waiting_server
from bench.songs import CACHE
from bench.transport_client import WARM_UP_SEGMENTS
from bench.waiting_server import STEMS
from stemcore.catalogue.triton import TritonSettings
from stemyard.stack import triton
from stemyard.stack.ports import FreePorts
from stemyard.stack.runtime import throw_away
from stemyard.stack.settings import StackSettings
from stemyard.stack.supervisor import supervisor
from stemyard.stack.triton import TritonDoors

MODELS = {"FP32": "idle", "FP16": "idle-fp16"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How the samples travel."""

    transport: Literal["grpc", "shm"]
    output_type: Literal["FP32", "FP16"] = "FP32"
    stems: Sequence[str] = STEMS
    processes: int = 1

    @property
    def name(self) -> str:
        processes = "" if self.processes == 1 else f", {self.processes} processes"
        return f"{self.transport}, {self.output_type}, {len(self.stems)} of 4 stems{processes}"


WAYS = (
    *(
        Way(transport=transport, output_type=output_type, stems=stems)
        for transport in ("grpc", "shm")
        for output_type in ("FP32", "FP16")
        for stems in (STEMS, STEMS[-1:])
    ),
    Way(transport="grpc", processes=2),
    Way(transport="shm", processes=2),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """The idle server: how it is asked, and what it has used."""

    doors: TritonDoors
    pid: int

    def cpu_s(self) -> float:
        """Of the server and the engines' processes."""
        server = psutil.Process(self.pid)
        times = [process.cpu_times() for process in (server, *server.children(recursive=True))]
        return sum(each.user + each.system for each in times)

    def settings(self, way: Way, *, window: int) -> TritonSettings:
        return TritonSettings(
            address=self.doors.grpc_address,
            transport=way.transport,
            window=window,
            shared_memory_secret=SecretStr(self.doors.shared_memory_secret),
        )


async def measure(*, segments: int, window: int, rounds: int) -> list[dict[str, Any]]:
    """Every way in every round; medians of the rounds."""
    with tempfile.TemporaryDirectory() as repository, throw_away(CACHE) as runtime:
        for output_type, name in MODELS.items():
            waiting_server.write_model(
                Path(repository), delay_s=0, instances=2, name=name, output_type=output_type
            )
        settings = StackSettings(
            repository=Path(repository),
            default_model=MODELS["FP32"],
            serving_module="bench.waiting_server",
        )
        doors = TritonDoors.choose(FreePorts())
        async with supervisor() as processes:
            process = processes.start(triton.plan(doors, runtime, settings))
            await process.ready()
            assert process.pid is not None
            server = Server(doors=doors, pid=process.pid)
            samples: dict[str, list[dict[str, float]]] = {way.name: [] for way in WAYS}
            for _ in range(rounds):
                for way in WAYS:
                    found = await _sample(server, way, segments=segments, window=window)
                    samples[way.name].append(found)
    return [_row(way, samples[way.name]) for way in WAYS]


async def _sample(server: Server, way: Way, *, segments: int, window: int) -> dict[str, float]:
    before_s = server.cpu_s()
    told = _as_json(server.settings(way, window=window))
    found = await asyncio.gather(
        *(_client(way, told, segments=segments) for _ in range(way.processes))
    )
    return {
        "client_cpu_s": statistics.mean(each["client_cpu_s"] for each in found),
        "server_cpu_s": (server.cpu_s() - before_s)
        / ((segments + WARM_UP_SEGMENTS) * way.processes),
        "wall_s": statistics.mean(each["wall_s"] for each in found) / way.processes,
    }


async def _client(way: Way, told: bytes, *, segments: int) -> dict[str, float]:
    arguments = ("--model", MODELS[way.output_type], "--segments", str(segments))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.transport_client", *arguments, "--stems", *way.stems),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    answer, _ = await process.communicate(told)
    if process.returncode:
        raise SystemExit(f"a client ended with {process.returncode}")
    return json.loads(answer)


def _as_json(settings: TritonSettings) -> bytes:
    secret = settings.shared_memory_secret
    told = settings.model_dump() | {
        "shared_memory_secret": secret.get_secret_value() if secret else None
    }
    return json.dumps(told).encode()


def _row(way: Way, samples: Sequence[dict[str, float]]) -> dict[str, Any]:
    medians = {
        f"{name}_per_segment": round(statistics.median(sample[name] for sample in samples), 5)
        for name in ("client_cpu_s", "server_cpu_s", "wall_s")
    }
    return {"way": way.name, **medians}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--segments", type=int, default=100, help="of 7.8 s, per client process")
    parser.add_argument("--window", type=int, default=2, help="requests in flight per process")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--try-out", action="store_true", help="print only, record nothing")
    chosen = vars(parser.parse_args())
    try_out = chosen.pop("try_out")
    rows = asyncio.run(measure(**chosen))
    for row in rows:
        costs = (f"{name} {1000 * row[name]:6.1f} ms" for name in row if name != "way")
        print(f"{row['way']:36}", *costs)
    if not try_out:
        print(record.write("transport", {**chosen, "ways": rows}))


if __name__ == "__main__":
    main()
