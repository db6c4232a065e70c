"""How a job may be run, through a whole slot; the files are decoded again and looked at."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from orchestrator.adapters.memory import MemorySeparator
from stemcore.catalogue.port import ServedModel
from stemcore.model_card import ModelCard
from stemcore.separation_request import AudioFormat, ClipMode, ComplementMode, OutputOptions
from stemcore.storage.filesystem import FilesystemStore
from tests.integration.orchestrator.cards import GAINS, SEGMENT_SAMPLES, gain_card
from tests.integration.orchestrator.conftest import ENDED, Floor, Jobs
from tests.integration.orchestrator.songs import song_of, wav
from tests.integration.orchestrator.test_separation import stem

# A model whose stems miss the mix by a fifth of it.
MISSING = {"drums": 0.4, "bass": 0.3, "other": 0.1}
# One whose drums and bass go beyond full scale.
LOUD = {"drums": 2.8, "bass": -2.2, "other": 0.2}
# One step of 24 bits, and what float32 loses in the joining.
SAME_24 = 2.0**-22
REQUIRED_NULL_DB = 90.0
# The stated depth is computed from the same samples.
SAME_DEPTH_DB = 0.5


class Recorded(MemorySeparator):
    """Writes down which stems it is asked for."""

    def __init__(self, gains: Mapping[str, float]) -> None:
        super().__init__(gains)
        self.asked: list[tuple[str, ...]] = []

    async def separate(
        self, window: NDArray[np.float32], *, card: ModelCard, stems: Any
    ) -> NDArray[np.float32]:
        self.asked.append(tuple(stems))
        return await super().separate(window, card=card, stems=stems)


def depth_db(song: NDArray[np.float32], files: list[NDArray[np.float32]]) -> float:
    """10 log10 of song over what the files miss of it."""
    missed = song - np.sum([file.astype(np.float64) for file in files], axis=0)
    energy = np.square(song, dtype=np.float64).sum()
    return float(10 * np.log10(energy / np.square(missed).sum()))


async def decoded(
    store: FilesystemStore, row: Any, names: tuple[str, ...]
) -> list[NDArray[np.float32]]:
    return [(await stem(store, row, name))[0] for name in names]


async def ended(floor: Floor, jobs: Jobs, source: bytes, **wishes: Any) -> Any:
    job_id = await jobs.submit(source, **wishes)
    async with floor.open():
        row = await jobs.become(job_id, *ENDED)
    assert row["status"] == "succeeded", row["error"]
    assert floor.scratch_files() == []
    return row


async def test_a_complement_costs_one_output_and_says_how_it_was_made(
    floor: Floor, jobs: Jobs, store: FilesystemStore
) -> None:
    song = song_of(60_001)
    floor.separator = separator = Recorded(GAINS)
    row = await ended(floor, jobs, wav(song), stems=("drums", "no_drums"))
    assert set(separator.asked) == {("drums",)}
    drums, rest = await decoded(store, row, ("drums", "no_drums"))
    assert np.abs(rest - song * 0.5).max() < SAME_24
    assert np.abs(drums + rest - song).max() < SAME_24
    assert [result.get("made_by") for result in row["results"]] == [None, "subtraction"]
    assert row["results"][1]["filename"] == "no_drums.wav"


async def test_a_complement_by_sum_is_made_of_the_others(
    floor: Floor, jobs: Jobs, store: FilesystemStore
) -> None:
    song = song_of(60_001)
    floor.separator = separator = Recorded(MISSING)
    row = await ended(floor, jobs, wav(song), stems=("no_drums",), complement=ComplementMode.SUM)
    assert set(separator.asked) == {("bass", "other")}
    (rest,) = await decoded(store, row, ("no_drums",))
    assert np.abs(rest - song * 0.4).max() < SAME_24
    assert row["results"][0]["made_by"] == "sum"


async def test_equal_seeds_give_equal_bytes_and_each_shift_is_a_run(
    floor: Floor, jobs: Jobs
) -> None:
    song = wav(song_of(3 * SEGMENT_SAMPLES))
    floor.separator = Places()
    digests: list[list[str]] = []
    for seed in (1, 1, 2):
        row = await ended(floor, jobs, song, stems=("drums",), shifts=3, seed=seed)
        digests.append([result["sha256"] for result in row["results"]])
        assert row["ledger"]["segments"] in range(3 * 4, 3 * 7)
    assert digests[0] == digests[1] != digests[2]


class Places:
    """A StemSeparator whose stems depend on where in the window a sample is."""

    async def separate(
        self,
        window: NDArray[np.float32],
        *,
        card: ModelCard,  # noqa: ARG002
        stems: Any,
    ) -> NDArray[np.float32]:
        place = np.linspace(0, 1, window.shape[-1], dtype=np.float32)
        return np.stack([window * place for _ in stems])


async def test_no_overlap_runs_fewer_segments(floor: Floor, jobs: Jobs) -> None:
    row = await ended(floor, jobs, wav(song_of(4 * SEGMENT_SAMPLES)), overlap=0.0)
    assert row["ledger"]["segments"] == 4


async def test_a_model_of_summed_windows_comes_back_with_the_songs_frames(
    floor: Floor, jobs: Jobs, store: FilesystemStore
) -> None:
    card = dataclasses.replace(
        gain_card(),
        join="sum",
        weights="none",
        normalisation="none",
        hop=SEGMENT_SAMPLES,
        lead_in_samples=4_096,
    )
    floor.models = (ServedModel(card=card, ready=True),)
    song = song_of(3 * SEGMENT_SAMPLES + 17)
    row = await ended(floor, jobs, wav(song))
    for name, gain in GAINS.items():
        (samples,) = await decoded(store, row, (name,))
        assert samples.shape == song.shape
        assert np.abs(samples - song * gain).max() < SAME_24
    assert row["ledger"]["segments"] == 4


async def test_an_overlap_that_the_model_has_not_ends_the_job(floor: Floor, jobs: Jobs) -> None:
    card = dataclasses.replace(gain_card(), join="sum", weights="none", hop=20_000)
    floor.models = (ServedModel(card=card, ready=True),)
    job_id = await jobs.submit(wav(song_of(1_000)), overlap=0.25)
    async with floor.open():
        row = await jobs.become(job_id, *ENDED)
    assert row["error"]["code"] == "unsupported_option"
    assert row["error"]["details"] == {"field": "overlap"}


@pytest.mark.parametrize("kind", [AudioFormat.WAV, AudioFormat.FLAC])
@pytest.mark.parametrize("gains", [MISSING, LOUD], ids=["missing", "loud"])
async def test_consistent_files_add_up_to_the_song(
    floor: Floor, jobs: Jobs, store: FilesystemStore, kind: AudioFormat, gains: dict[str, float]
) -> None:
    """Where a stem would have to be cut at full scale, the others take what is over."""
    song = song_of(90_001)
    song *= 0.9 / np.abs(song).max()
    floor.separator = MemorySeparator(gains)
    output = OutputOptions(format=kind, bit_depth=24)
    row = await ended(floor, jobs, wav(song), consistency=True, output=output)
    files = await decoded(store, row, tuple(GAINS))
    found = depth_db(song, files)
    assert found > REQUIRED_NULL_DB
    assert row["measures"] == {"null_depth_db": pytest.approx(found, abs=SAME_DEPTH_DB)}
    assert row["warnings"] == []
    assert (max(np.abs(file).max() for file in files) > 0.999) == (gains is LOUD)


@pytest.mark.parametrize(("rate_hz", "output_hz"), [(48_000, None), (96_000, 48_000)])
async def test_files_of_another_rate_add_up_to_the_song_too(
    floor: Floor,
    jobs: Jobs,
    store: FilesystemStore,
    rate_hz: int,
    output_hz: int | None,
) -> None:
    """Noise up to half the song's rate: the model at 44.1 kHz does not hear all of it."""
    random = np.random.default_rng(8)
    song = (random.standard_normal((90_001, 2)) * 0.1).astype(np.float32)
    floor.separator = MemorySeparator(MISSING)
    output = OutputOptions(sample_rate_hz=output_hz)
    row = await ended(floor, jobs, wav(song, rate_hz=rate_hz), consistency=True, output=output)
    files = await decoded(store, row, tuple(GAINS))
    assert row["measures"]["null_depth_db"] > REQUIRED_NULL_DB
    if output_hz is None:
        assert depth_db(song, files) > REQUIRED_NULL_DB
        pair = await ended(
            floor, jobs, wav(song, rate_hz=rate_hz), stems=("drums", "no_drums"), output=output
        )
        assert depth_db(song, await decoded(store, pair, ("drums", "no_drums"))) > REQUIRED_NULL_DB


async def test_without_consistency_the_miss_is_told(floor: Floor, jobs: Jobs) -> None:
    floor.separator = MemorySeparator(MISSING)
    row = await ended(floor, jobs, wav(song_of(60_000)))
    assert row["measures"]["null_depth_db"] == pytest.approx(20 * np.log10(5), abs=0.01)


async def test_sixteen_bits_add_up_less_well_and_say_so(
    floor: Floor, jobs: Jobs, store: FilesystemStore
) -> None:
    song = song_of(60_000)
    floor.separator = MemorySeparator(MISSING)
    row = await ended(floor, jobs, wav(song), consistency=True, output=OutputOptions(bit_depth=16))
    found = depth_db(song, await decoded(store, row, tuple(GAINS)))
    assert found < REQUIRED_NULL_DB
    assert row["measures"]["null_depth_db"] == pytest.approx(found, abs=SAME_DEPTH_DB)


async def test_rescaled_consistent_files_have_one_gain(
    floor: Floor, jobs: Jobs, store: FilesystemStore
) -> None:
    song = song_of(60_000)
    song *= 0.9 / np.abs(song).max()
    floor.separator = MemorySeparator(LOUD)
    row = await ended(floor, jobs, wav(song), consistency=True, clip=ClipMode.RESCALE)
    gain = 10 ** (row["measures"]["gain_db"] / 20)
    assert 0.2 < gain < 0.9
    files = await decoded(store, row, tuple(GAINS))
    assert max(np.abs(file).max() for file in files) == pytest.approx(1 / 1.01, abs=1e-6)
    exact = float(np.sum(np.sum(files, axis=0) * song) / np.square(song).sum())
    assert exact == pytest.approx(gain, rel=1e-3)
    assert depth_db(song * np.float32(exact), files) > REQUIRED_NULL_DB
    assert row["measures"]["null_depth_db"] > REQUIRED_NULL_DB


async def test_a_consistent_stem_is_the_same_without_the_others(
    floor: Floor, jobs: Jobs, store: FilesystemStore
) -> None:
    song = song_of(60_000)
    floor.separator = separator = Recorded(MISSING)
    row = await ended(floor, jobs, wav(song), consistency=True)
    pair = await ended(floor, jobs, wav(song), consistency=True, stems=("drums", "no_drums"))
    assert set(separator.asked) == {tuple(GAINS)}
    digests = {result["name"]: result["sha256"] for result in row["results"]}
    assert pair["results"][0]["sha256"] == digests["drums"]
    files = await decoded(store, pair, ("drums", "no_drums"))
    found = depth_db(song, files)
    assert found > REQUIRED_NULL_DB
    assert pair["measures"]["null_depth_db"] == pytest.approx(found, abs=SAME_DEPTH_DB)
    alone = await ended(floor, jobs, wav(song), consistency=True, stems=("bass",))
    assert alone["results"][0]["sha256"] == digests["bass"]
    assert alone["measures"] == {}


@pytest.mark.parametrize("rate_hz", [8_000, 44_100, 48_000])
@pytest.mark.parametrize("loudness", [0.0, 0.5])
async def test_the_shortest_songs_add_up(
    floor: Floor, jobs: Jobs, store: FilesystemStore, rate_hz: int, loudness: float
) -> None:
    song = np.full((1, 2), loudness, dtype=np.float32)
    floor.separator = MemorySeparator(MISSING)
    row = await ended(
        floor,
        jobs,
        wav(song, rate_hz=rate_hz),
        stems=(*GAINS, "no_drums"),
        consistency=True,
        shifts=1,
    )
    files = await decoded(store, row, tuple(GAINS))
    assert np.abs(np.sum(files, axis=0) - song).max() < 3 * SAME_24
    assert ("null_depth_db" in row["measures"]) == (loudness > 0)


async def test_everything_at_once(floor: Floor, jobs: Jobs, store: FilesystemStore) -> None:
    song = song_of(60_000)
    floor.separator = MemorySeparator(MISSING)
    row = await ended(
        floor,
        jobs,
        wav(song),
        stems=(*GAINS, "no_bass"),
        complement=ComplementMode.SUM,
        consistency=True,
        shifts=2,
        seed=9,
        overlap=0.5,
        clip=ClipMode.NONE,
        output=OutputOptions(bit_depth=32),
    )
    drums, bass, other, no_bass = await decoded(store, row, (*GAINS, "no_bass"))
    assert depth_db(song, [drums, bass, other]) > REQUIRED_NULL_DB
    assert np.array_equal(no_bass, drums + other)


async def test_a_job_without_options_gives_the_bytes_it_always_gave(
    floor: Floor, jobs: Jobs
) -> None:
    """Nothing but products and sums is in the way, so these bytes are those of every machine."""
    floor.models = (
        ServedModel(card=dataclasses.replace(gain_card(), normalisation="none"), ready=True),
    )
    samples = np.random.default_rng(12).integers(-(2**14), 2**14, (80_000, 2))
    source = wav((samples / 2**15).astype(np.float32))
    row = await ended(floor, jobs, source, output=OutputOptions(bit_depth=16))
    assert {result["name"]: result["sha256"][:16] for result in row["results"]} == PLAIN_RESULTS


# Of the version before there were options.
PLAIN_RESULTS = {
    "drums": "ed02f31b784fd315",
    "bass": "9f15afd1744f3287",
    "other": "9f15afd1744f3287",
}
