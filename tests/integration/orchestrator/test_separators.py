"""One contract for what separates: in this process, and through the real Triton."""

import asyncio
import os
import signal
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest
import pytest_asyncio
from numpy.typing import NDArray
from pydantic import SecretStr

from orchestrator.adapters.memory import MemorySeparator
from orchestrator.adapters.shared_transport import open_transport
from orchestrator.adapters.triton import TritonSeparator
from orchestrator.audio.segments import SegmentPlan
from orchestrator.finishing import Recipe
from orchestrator.joining import Engine, Separation
from orchestrator.mix import Mix, spool
from orchestrator.segment_scheduler import SegmentScheduler, Share
from orchestrator.separator import StemSeparator
from orchestrator.tape import Tape
from stemcore.audio_decoder import AudioDecoder, DecodeLimits, SandboxSettings, open_decoder
from stemcore.catalogue.triton import TritonCatalogue, TritonSettings, open_triton
from stemcore.errors import ErrorCode, Unavailable
from stemcore.model_card import ModelCard
from stemyard.stack import triton as stack_triton
from stemyard.stack.ports import FreePorts
from stemyard.stack.process import SupervisedProcess
from stemyard.stack.runtime import locked
from stemyard.stack.settings import ROOT, StackSettings
from stemyard.stack.supervisor import supervisor
from stemyard.stack.triton import TritonDoors
from tests.integration.orchestrator.cards import GAINS, SEGMENT_SAMPLES, gain_card
from tests.integration.orchestrator.models import write_gain_model
from tests.integration.stemcore.encoded import encode, tones

pytestmark = pytest.mark.asyncio(loop_scope="module")

Samples = NDArray[np.float32]

# Made by `make` before the tests: HTDemucs with random weights.
TINY = ROOT / ".cache" / "models" / "tiny"
OUTAGE_S = 40.0
TRANSPORTS = ("grpc", "shm")


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """The real Triton, and our doors to it."""

    process: SupervisedProcess
    by_transport: Mapping[str, TritonSeparator]
    catalogue: TritonCatalogue

    @property
    def separator(self) -> TritonSeparator:
        return self.by_transport["grpc"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Server]:
    root = tmp_path_factory.mktemp("triton")
    repository = root / "models"
    write_gain_model(repository)
    (repository / "tiny").symlink_to(TINY)
    doors = TritonDoors.choose(FreePorts())
    settings = TritonSettings(
        address=doors.grpc_address,
        outage_s=OUTAGE_S,
        shared_memory_secret=SecretStr(doors.shared_memory_secret),
    )
    with locked(root / "runtime") as runtime:
        async with (
            supervisor() as processes,
            open_triton(settings) as client,
            AsyncExitStack() as transports,
        ):
            process = processes.start(
                stack_triton.plan(
                    doors, runtime, StackSettings(repository=repository, default_model="gains")
                )
            )
            await process.ready()
            catalogue = TritonCatalogue(client, timeout_s=2.0, fresh_s=0.0)
            by_transport: dict[str, TritonSeparator] = {}
            for way in TRANSPORTS:
                chosen = settings.model_copy(update={"transport": way})
                transport = await transports.enter_async_context(open_transport(client, chosen))
                by_transport[way] = TritonSeparator(transport, catalogue, chosen)
            yield Server(process=process, by_transport=by_transport, catalogue=catalogue)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A separator under contract and the card of its model."""

    separator: StemSeparator
    card: ModelCard


@pytest_asyncio.fixture(loop_scope="module", params=["memory", *TRANSPORTS])
async def subject(request: pytest.FixtureRequest, server: Server) -> Subject:
    if request.param == "memory":
        return Subject(separator=MemorySeparator(GAINS), card=gain_card())
    separator = server.by_transport[request.param]
    return Subject(separator=separator, card=await card_of(server, "gains"))


async def card_of(server: Server, name: str) -> ModelCard:
    (card,) = (m.card for m in await server.catalogue.models() if m.card.name == name)
    return card


def window(seed: int = 1) -> Samples:
    return np.random.default_rng(seed).standard_normal((2, SEGMENT_SAMPLES), dtype=np.float32)


async def test_stems_come_in_the_order_asked(subject: Subject) -> None:
    mix = window()
    stems = ("other", "drums")
    answer = await subject.separator.separate(mix, card=subject.card, stems=stems)
    assert answer.shape == (2, 2, SEGMENT_SAMPLES)
    assert answer.dtype == np.float32
    for name, samples in zip(stems, answer, strict=True):
        assert np.array_equal(samples, mix * np.float32(GAINS[name]))


async def test_concurrent_segments_do_not_mix(subject: Subject) -> None:
    mixes = [window(seed) for seed in range(6)]
    answers = await asyncio.gather(
        *(subject.separator.separate(mix, card=subject.card, stems=("bass",)) for mix in mixes)
    )
    for mix, answer in zip(mixes, answers, strict=True):
        assert np.array_equal(answer[0], mix * np.float32(GAINS["bass"]))


async def test_the_window_is_left_as_it_was(subject: Subject) -> None:
    mix = window()
    await subject.separator.separate(mix, card=subject.card, stems=("bass",))
    assert np.array_equal(mix, window())


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_segment_waits_for_a_killed_server(server: Server, transport: str) -> None:
    separator, card = server.by_transport[transport], await card_of(server, "gains")
    await separator.separate(window(2), card=card, stems=("drums",))
    pid = server.process.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    mix = window()
    answer = await separator.separate(mix, card=card, stems=("drums",))
    assert np.array_equal(answer[0], mix * np.float32(GAINS["drums"]))


async def test_a_server_that_comes_back_with_another_model_is_refused(server: Server) -> None:
    other = gain_card(digest="f" * 64)
    pid = server.process.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(Unavailable, match="exchanged"):
        await server.separator.separate(window(), card=other, stems=("drums",))
    await server.process.ready()


async def test_a_server_that_stays_away_is_given_up() -> None:
    settings = TritonSettings(address="127.0.0.1:1", outage_s=0.3, metadata_timeout_s=0.2)
    async with open_triton(settings) as client:
        catalogue = TritonCatalogue(client, timeout_s=0.2)
        for way in TRANSPORTS:
            chosen = settings.model_copy(update={"transport": way})
            async with open_transport(client, chosen) as transport:
                separator = TritonSeparator(transport, catalogue, settings)
                with pytest.raises(Unavailable) as failure:
                    await separator.separate(window(), card=gain_card(), stems=("drums",))
    assert failure.value.code is ErrorCode.ENGINE_UNAVAILABLE


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_request_the_server_refuses_is_not_repeated(server: Server, transport: str) -> None:
    separator, card = server.by_transport[transport], await card_of(server, "gains")
    with pytest.raises(Unavailable) as failure:
        await separator.separate(window()[:, :10], card=card, stems=("drums",))
    assert failure.value.code is ErrorCode.ENGINE_FAILED


@pytest.mark.skipif(not TINY.exists(), reason=f"{TINY} is absent: run scripts/tiny-models")
async def test_a_real_network_gives_equal_bytes_whatever_the_window(
    server: Server, tmp_path: Path
) -> None:
    card = await card_of(server, "tiny")
    song = tones(int(2.9 * card.segment_samples))
    source = encode(tmp_path / "song.flac", song, codec="flac")
    async with open_decoder(SandboxSettings(warm=1), limits=DecodeLimits()) as decoder:
        results = [
            await stems_of(
                server, decoder, card, source, folder=tmp_path / str(size), window_size=size
            )
            for size in (1, 2, 4)
        ]
    assert len(results[0]) == 4 * 8 * len(song)
    assert results[0] == results[1] == results[2]


async def stems_of(
    server: Server,
    decoder: AudioDecoder,
    card: ModelCard,
    source: Path,
    *,
    folder: Path,
    window_size: int,
) -> bytes:
    folder.mkdir()
    path = folder / "mix"
    facts = await decoder.decode(
        source, lambda pcm: spool(pcm, path, sample_rate_hz=card.sample_rate)
    )
    plan = SegmentPlan(
        total_samples=facts.frames,
        segment_samples=card.segment_samples,
        hop_samples=card.hop_samples(),
    )
    engine = Engine(
        separator=server.separator,
        scheduler=SegmentScheduler(window=window_size),
        card=card,
        stems=card.stem_names,
        share=Share(account_id=UUID(int=1)),
    )

    async def on_segment(_: int) -> None: ...

    with (
        Mix(path, facts) as mix,
        Tape(folder, stems=card.stem_names, total_frames=facts.frames) as tape,
    ):
        separation = Separation(
            mix=mix,
            engine=engine,
            plans=[plan],
            recipe=Recipe.of_stems(card.stem_names),
            scratch=folder / "passes.pcm",
        )
        await separation.onto(tape, on_segment=on_segment)
        blocks: list[bytes] = []
        for stem in card.stem_names:
            async with aclosing(tape.blocks(stem)) as reader:
                blocks += [block.tobytes() async for block in reader]
        return b"".join(blocks)
