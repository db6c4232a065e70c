import asyncio
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from orchestrator.audio.resample import RateConverter, scaled_frames
from orchestrator.audio.wav import quantised
from orchestrator.delivered_null import complete_set, delivered_null
from orchestrator.delivery import DeliveryReport, FileFormat, delivered_blocks
from orchestrator.finishing import Recipe
from orchestrator.full_band import FullBand, open_band
from orchestrator.mix import MixFacts, spool
from orchestrator.null_test import PERFECT_NULL_DB, NullTest
from orchestrator.tape import Tape
from stemcore.separation_request import AudioFormat, ClipMode
from stemcore.stem_choice import MadeBy, WantedFile
from tests.integration.gateway.cards import make_card
from tests.unit.orchestrator.test_mix import Decoded

Samples = NDArray[np.float32]

FRAMES = 30_011
# Files and their shares of the song.
SHARES = {"drums": 0.5, "bass": 0.5}
REQUIRED_DB = 90.0
REQUIRED_16_DB = 60.0
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
    recipe = Recipe(files=files, stems=FOUR)
    assert [file.name for file in complete_set(recipe, make_card("mini"))] == names


@pytest.mark.parametrize(
    ("clip", "loudness"),
    [(ClipMode.CLAMP, 0.1), (ClipMode.CLAMP, 0.5), (ClipMode.RESCALE, 0.5)],
    ids=["quiet", "clamp", "rescale"],
)
@pytest.mark.parametrize(
    ("bit_depth", "source_hz", "rate_hz"),
    [
        (16, 44_100, 44_100),
        (24, 44_100, 44_100),
        (24, 44_100, 48_000),
        (24, 48_000, 44_100),
        (24, 48_000, 48_000),
        (24, 96_000, 48_000),
        (24, 22_050, 22_050),
    ],
)
async def test_it_is_measured_on_the_samples_that_are_delivered(
    tmp_path: Path,
    clip: ClipMode,
    loudness: float,
    bit_depth: int,
    source_hz: int,
    rate_hz: int,
) -> None:
    random = np.random.default_rng(4)
    source = (random.standard_normal((FRAMES, 2)) * 0.15).astype(np.float32)
    facts, drums = spooled(source, tmp_path, source_hz=source_hz, loudness=loudness)
    file = FileFormat(
        format=AudioFormat.WAV,
        bit_depth=bit_depth,
        sample_rate_hz=rate_hz,
        frames=scaled_frames(FRAMES, source_hz=source_hz, target_hz=rate_hz),
        clip=clip,
        scaled_together=True,
    )
    with (
        open_band(tmp_path / "mix", tmp_path / "original", facts) as band,
        Tape(tmp_path, stems=SHARES, total_frames=facts.frames) as tape,
    ):
        measuring = asyncio.create_task(delivered_null(band, tape, SHARES, file=file))
        mix = band.mix.window(0, facts.frames)
        for first in range(0, facts.frames, 7_001):
            stems = np.stack([drums, mix - drums])
            await tape.append(stems[..., first : first + 7_001])
        result = await measuring
        files = [await read(band, tape, name, file) for name in SHARES]
    expected = NullTest()
    song = resampled(source, source_hz=source_hz, file=file)
    expected.add_sum(song * np.float64(result.gain), np.sum(files, axis=0))
    assert result.null.depth_db == pytest.approx(expected.depth_db, abs=0.05)
    assert (result.gain < 1) == (clip is ClipMode.RESCALE)
    assert expected.depth_db is not None
    if loudness < 0.5:
        assert expected.depth_db > (REQUIRED_DB if bit_depth == 24 else REQUIRED_16_DB)


def spooled(
    source: Samples, folder: Path, *, source_hz: int, loudness: float
) -> tuple[MixFacts, Samples]:
    """Noise as a source, and other noise as one of its stems, at the model's rate."""
    facts = spool(
        Decoded(samples=source, rate_hz=source_hz),
        folder / "mix",
        sample_rate_hz=44_100,
        original=folder / "original",
    )
    assert (folder / "original").exists() == (source_hz != 44_100)
    noise = np.random.default_rng(5).standard_normal((2, facts.frames), dtype=np.float32)
    return facts, noise * np.float32(loudness)


async def read(band: FullBand, tape: Tape, name: str, file: FileFormat) -> NDArray[np.float64]:
    """The file's samples as a player sees them."""
    blocks = delivered_blocks(
        tape, name, band=band, share=SHARES[name], file=file, report=DeliveryReport()
    )
    whole = np.concatenate([block async for block in blocks])
    assert len(whole) == file.frames
    return quantised(whole, bit_depth=file.bit_depth) / 2.0 ** (file.bit_depth - 1)


def resampled(source: Samples, *, source_hz: int, file: FileFormat) -> Samples:
    """The song at the files' rate."""
    converter = RateConverter(source_hz=source_hz, target_hz=file.sample_rate_hz, channels=2)
    return np.concatenate([converter.push(source), converter.finish(total_frames=file.frames)])


def test_nothing_missed_is_a_perfect_null() -> None:
    null = NullTest()
    assert null.depth_db is None
    null.add(np.ones((2, 5), dtype=np.float32), np.ones((1, 2, 5), dtype=np.float32))
    assert null.depth_db == PERFECT_NULL_DB
