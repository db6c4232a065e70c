import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from orchestrator.audio.wav import quantised
from orchestrator.delivered_null import complete_set, delivered_null
from orchestrator.delivery import DeliveryReport, FileFormat, delivered_blocks
from orchestrator.mix import Mix, spool
from orchestrator.null_test import PERFECT_NULL_DB, NullTest
from orchestrator.tape import Tape
from stemcore.separation_request import AudioFormat, ClipMode
from stemcore.stem_choice import MadeBy, WantedFile
from tests.integration.gateway.cards import make_card
from tests.unit.orchestrator.test_mix import Decoded

Samples = NDArray[np.float32]

FRAMES = 30_011
NAMES = ("drums", "bass")
FOUR = ("drums", "bass", "other", "vocals")


def wanted(*names: str, without: str | None = None) -> list[WantedFile]:
    files = [WantedFile(name=name, stem=name) for name in names]
    if without is not None:
        files.append(WantedFile(name=f"no_{without}", stem=without, made_by=MadeBy.SUM))
    return files


@pytest.mark.parametrize(
    ("files", "names"),
    [
        (wanted(*FOUR), list(FOUR)),
        (wanted(*FOUR, without="bass"), list(FOUR)),
        (wanted("drums", "bass", without="bass"), ["bass", "no_bass"]),
        (wanted("drums", without="bass"), []),
        (wanted("drums", "bass"), []),
    ],
)
def test_what_makes_up_the_song(files: list[WantedFile], names: list[str]) -> None:
    assert list(complete_set(files, make_card("mini"))) == names


@pytest.mark.parametrize("clip", [ClipMode.CLAMP, ClipMode.RESCALE])
@pytest.mark.parametrize(("bit_depth", "rate_hz"), [(16, 44_100), (24, 44_100), (24, 48_000)])
async def test_it_is_measured_on_the_samples_that_are_delivered(
    tmp_path: Path, clip: ClipMode, bit_depth: int, rate_hz: int
) -> None:
    random = np.random.default_rng(4)
    stems = random.standard_normal((2, 2, FRAMES), dtype=np.float32) * np.float32(0.4)
    file = FileFormat(
        format=AudioFormat.WAV,
        bit_depth=bit_depth,
        sample_rate_hz=rate_hz,
        frames=-(-FRAMES * rate_hz // 44_100),
        clip=clip,
        scaled_together=True,
    )
    source = Decoded(samples=np.ascontiguousarray(stems.sum(axis=0).T))
    facts = spool(source, tmp_path / "mix", sample_rate_hz=44_100)
    with (
        Mix(tmp_path / "mix", facts) as mix,
        Tape(tmp_path, stems=NAMES, total_frames=FRAMES) as tape,
    ):
        measuring = asyncio.create_task(delivered_null(mix, tape, NAMES, file=file))
        for first in range(0, FRAMES, 7_001):
            await tape.append(stems[..., first : first + 7_001])
        result = await measuring
        files = [await read(tape, name, file) for name in NAMES]
    song = np.concatenate([block async for block in resampled(stems.sum(axis=0), file, tmp_path)])
    expected = NullTest()
    expected.add_sum(song * np.float64(result.gain), np.sum(files, axis=0))
    assert result.null.depth_db == pytest.approx(expected.depth_db, abs=0.05)
    peak = max(np.abs(stems).max(), 1 / 1.01) if clip is ClipMode.RESCALE else 1 / 1.01
    assert result.gain == pytest.approx(1 / (1.01 * peak), rel=1e-6)


async def read(tape: Tape, name: str, file: FileFormat) -> NDArray[np.float64]:
    """The file's samples as a player sees them."""
    blocks = delivered_blocks(tape, name, source_hz=44_100, file=file, report=DeliveryReport())
    scale = 2.0 ** (file.bit_depth - 1)
    whole = np.concatenate([block async for block in blocks])
    return quantised(whole, bit_depth=file.bit_depth) / scale


async def resampled(track: Samples, file: FileFormat, folder: Path) -> AsyncGenerator[Samples]:
    """The song at the files' rate."""
    plain = FileFormat(
        format=AudioFormat.WAV,
        bit_depth=32,
        sample_rate_hz=file.sample_rate_hz,
        frames=file.frames,
        clip=ClipMode.NONE,
    )
    folder = folder / "song"
    folder.mkdir()
    with Tape(folder, stems=("song",), total_frames=track.shape[-1]) as tape:
        await tape.append(track[None])
        async for block in delivered_blocks(
            tape, "song", source_hz=44_100, file=plain, report=DeliveryReport()
        ):
            yield block


def test_nothing_missed_is_a_perfect_null() -> None:
    null = NullTest()
    assert null.depth_db is None
    null.add(np.ones((2, 5), dtype=np.float32), np.ones((1, 2, 5), dtype=np.float32))
    assert null.depth_db == PERFECT_NULL_DB
