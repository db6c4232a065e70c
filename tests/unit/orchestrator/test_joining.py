"""A whole track through a model of our own, against plain statements over whole arrays."""

import asyncio
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from orchestrator.audio.overlap_add import triangular_weights
from orchestrator.finishing import Recipe
from orchestrator.joining import Engine, JoinReport, Separation
from orchestrator.mix import Mix, MixFacts, spool
from orchestrator.plans import plans_of
from orchestrator.segment_scheduler import SegmentScheduler, Share
from orchestrator.tape import Tape
from stemcore.errors import ErrorCode, Unavailable
from stemcore.model_card import Licences, ModelCard, StemSource
from stemcore.separation_request import ClipMode, ComplementMode, SeparationRequest
from tests.unit.orchestrator.test_mix import Decoded

Samples = NDArray[np.float32]
Model = Callable[[Samples], Samples]

STEMS = ("drums", "bass", "vocals")
# Half a second, the longest delay, is less than a window.
RATE = 100


def card(**changes: Any) -> ModelCard:
    return ModelCard(
        **{
            "name": "odd",
            "description": "",
            "family": "test",
            "stems": tuple(StemSource(stem=s, model="odd", output=s) for s in STEMS),
            "sample_rate": RATE,
            "segment_samples": 64,
            "normalisation": "none",
            "parameters": 0,
            "files": {"1/model.onnx": "0" * 64},
            "licences": Licences(code="MIT", weights="none", noncommercial=False),
        }
        | changes
    )


def model(window: Samples) -> Samples:
    """Depends on where in the window a sample is, so that no wrong placing goes unnoticed."""
    place = np.linspace(0.1, 1, window.shape[-1], dtype=np.float32)
    return np.stack([window * place, window[::-1] * np.float32(0.3), np.roll(window, 3, axis=-1)])


class Recorder:
    """A StemSeparator that writes down which stems it was asked for."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self.asked: set[tuple[str, ...]] = set()

    async def separate(self, window: Samples, *, card: ModelCard, stems: Sequence[str]) -> Samples:
        self.asked.add(tuple(stems))
        made = self._model(window)
        return np.stack([made[card.stem_names.index(stem)] for stem in stems])


class Outcome:
    """What a request made of a track."""

    def __init__(
        self,
        request: SeparationRequest,
        samples: Samples,
        on: ModelCard,
        *,
        separates: Model = model,
    ) -> None:
        self.separator = Recorder(separates)
        self.request = request
        self.segments: list[int] = []
        with tempfile.TemporaryDirectory() as folder:
            self.files, self.report = asyncio.run(self._run(samples, on, Path(folder)))

    async def _run(
        self, samples: Samples, on: ModelCard, folder: Path
    ) -> tuple[dict[str, Samples], JoinReport]:
        facts = spooled(samples, folder)
        recipe = Recipe.of(self.request, on)
        names = [file.name for file in recipe.files]
        with (
            Mix(folder / "mix", facts) as mix,
            Tape(folder, stems=names, total_frames=facts.frames) as tape,
        ):
            separation = Separation(
                mix=mix,
                engine=engine(self.separator, on, recipe.stems),
                plans=plans_of(self.request, on, frames=facts.frames),
                recipe=recipe,
                scratch=folder / "passes",
            )
            report = await separation.onto(tape, on_segment=self._count)
            files = {
                name: np.concatenate([block async for block in tape.blocks(name)]).T
                for name in names
            }
        return files, report

    async def _count(self, done: int) -> None:
        self.segments.append(done)


def spooled(samples: Samples, folder: Path) -> MixFacts:
    return spool(Decoded(samples=samples, rate_hz=RATE), folder / "mix", sample_rate_hz=RATE)


def engine(separator: Recorder, on: ModelCard, stems: Sequence[str]) -> Engine:
    return Engine(
        separator=separator,
        scheduler=SegmentScheduler(window=2),
        card=on,
        stems=stems,
        share=Share(account_id=UUID(int=1)),
    )


def wishes(*stems: str, **options: Any) -> SeparationRequest:
    return SeparationRequest(**{"model": "odd", "stems": stems or STEMS} | options)


def song(frames: int, *, seed: int = 5) -> Samples:
    return np.random.default_rng(seed).uniform(-0.5, 0.5, (frames, 2)).astype(np.float32)


def by_mean(track: Samples, on: ModelCard, *, overlap: float | None = None) -> Samples:
    """`demucs.apply.apply_model` with `split=True`, over a whole track (channels, n)."""
    size, hop = on.segment_samples, on.hop_samples(overlap)
    frames = track.shape[-1]
    weights = triangular_weights(size)
    out = np.zeros((len(STEMS), 2, frames), dtype=np.float32)
    sums = np.zeros(frames, dtype=np.float32)
    room = np.pad(track, ((0, 0), (size, size)))
    for offset in range(0, frames, hop):
        length = min(size, frames - offset)
        before = (size - length) // 2
        window = room[:, size + offset - before :][:, :size]
        made = model(window)[..., before : before + length]
        out[..., offset : offset + length] += weights[:length] * made
        sums[offset : offset + length] += weights[:length]
    return out / sums


def by_sum(track: Samples, on: ModelCard) -> Samples:
    """Windows `hop` apart from `lead_in` before the track, added where they stand."""
    size, hop, lead = on.segment_samples, on.hop_samples(), on.lead_in_samples
    frames = track.shape[-1]
    room = np.pad(track, ((0, 0), (lead, 2 * size)))
    out = np.zeros((len(STEMS), 2, room.shape[-1]), dtype=np.float32)
    for start in range(0, frames + lead, hop):
        out[..., start : start + size] += model(room[:, start : start + size])
    return out[..., lead : lead + frames]


def shifted(track: Samples, separate: Callable[[Samples], Samples], delays: list[int]) -> Samples:
    """The loop over `shifts` of `demucs.apply.apply_model`: silence before, cut off after."""
    total = np.float32(0)
    for delay in delays:
        padded = np.pad(track, ((0, 0), (delay, 0)))
        total = total + separate(padded)[..., delay:]
    return total / np.float32(len(delays))


SUMMED = card(join="sum", weights="none", hop=50, lead_in_samples=14)


@settings(max_examples=30, deadline=None)
@given(frames=st.integers(1, 400), overlap=st.sampled_from([None, 0.0, 0.1, 0.3, 0.5]))
def test_overlap_is_demucs_own_to_the_bit(frames: int, overlap: float | None) -> None:
    made = Outcome(wishes(overlap=overlap), song(frames), card())
    expected = by_mean(song(frames).T, card(), overlap=overlap)
    assert np.stack(list(made.files.values())).tobytes() == expected.tobytes()


@settings(max_examples=30, deadline=None)
@given(frames=st.integers(1, 400), hop=st.integers(20, 64), lead_in=st.integers(0, 70))
def test_a_summed_track_is_the_sum_to_the_bit(frames: int, hop: int, lead_in: int) -> None:
    on = card(join="sum", weights="none", hop=hop, lead_in_samples=lead_in)
    made = Outcome(wishes(), song(frames), on)
    assert np.stack(list(made.files.values())).tobytes() == by_sum(song(frames).T, on).tobytes()


@settings(max_examples=20, deadline=None)
@given(
    frames=st.integers(1, 300),
    shifts=st.integers(1, 4),
    seed=st.integers(0, 2**32 - 1),
    on=st.sampled_from([card(), SUMMED]),
)
def test_shifts_average_delayed_runs_to_the_bit(
    frames: int, shifts: int, seed: int, on: ModelCard
) -> None:
    request = wishes(shifts=shifts, seed=seed)
    made = Outcome(request, song(frames), on)
    plans = plans_of(request, on, frames=frames)
    expected = shifted(
        song(frames).T,
        lambda track: by_sum(track, on) if on.join == "sum" else by_mean(track, on),
        [plan.delay_samples for plan in plans],
    )
    assert np.stack(list(made.files.values())).tobytes() == expected.tobytes()
    assert made.segments == list(range(1, sum(map(len, plans)) + 1))
    assert made.report.segments == len(made.segments)


def test_a_seed_is_what_the_bytes_depend_on() -> None:
    first, again, other = (
        Outcome(wishes(shifts=2, seed=seed), song(500), card()).files["drums"].tobytes()
        for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other


def test_the_tracks_level_is_restored_after_the_mean_of_the_runs() -> None:
    loud = song(300) * 3 + np.float32(0.2)
    on = card(normalisation="track")
    request = wishes(shifts=2, seed=3)
    made = Outcome(request, loud, on)
    mono = loud.mean(axis=1)
    mean, scale = np.float32(mono.mean()), np.float32(mono.std(ddof=1) + 1e-8)
    delays = [plan.delay_samples for plan in plans_of(request, on, frames=300)]
    expected = shifted((loud.T - mean) / scale, lambda track: by_mean(track, on), delays)
    np.testing.assert_allclose(
        np.stack(list(made.files.values())), expected * scale + mean, atol=1e-5
    )


@settings(max_examples=20, deadline=None)
@given(
    frames=st.integers(1, 400),
    mode=st.sampled_from(ComplementMode),
    on=st.sampled_from([card(), SUMMED]),
)
def test_complements_are_what_their_mode_says_to_the_bit(
    frames: int, mode: ComplementMode, on: ModelCard
) -> None:
    names = ("bass", "no_drums", "instrumental")
    made = Outcome(wishes(*names, complement=mode), song(frames), on)
    track = song(frames).T
    drums, bass, vocals = by_sum(track, on) if on.join == "sum" else by_mean(track, on)
    assert made.files["bass"].tobytes() == bass.tobytes()
    if mode is ComplementMode.SUBTRACT:
        expected = {"no_drums": track - drums, "instrumental": track - vocals}
    else:
        expected = {"no_drums": bass + vocals, "instrumental": drums + bass}
    for name, samples in expected.items():
        assert made.files[name].tobytes() == samples.tobytes(), name


@pytest.mark.parametrize(
    ("names", "options", "asked"),
    [
        (("instrumental",), {}, ("vocals",)),
        (("vocals", "instrumental"), {}, ("vocals",)),
        (("instrumental",), {"complement": ComplementMode.SUM}, ("drums", "bass")),
        (("vocals",), {"consistency": True}, STEMS),
        (("instrumental",), {"shifts": 3}, ("vocals",)),
    ],
)
def test_the_engine_is_asked_for_no_more_than_is_needed(
    names: tuple[str, ...], options: dict[str, Any], asked: tuple[str, ...]
) -> None:
    made = Outcome(wishes(*names, **options), song(300), card())
    assert made.separator.asked == {asked}
    assert tuple(made.files) == names


@settings(max_examples=10, deadline=None)
@given(frames=st.integers(1, 6_000), clip=st.sampled_from(ClipMode))
def test_consistent_stems_add_up_to_the_mix(frames: int, clip: ClipMode) -> None:
    made = Outcome(wishes(consistency=True, clip=clip), song(frames), card())
    summed = np.sum([samples.astype(np.float64) for samples in made.files.values()], axis=0)
    assert np.abs(summed - song(frames).T).max() < 1e-6
    peak = max(np.abs(samples).max() for samples in made.files.values())
    assert peak <= 1 or clip is not ClipMode.CLAMP


def test_a_consistent_stem_is_the_same_whatever_is_asked_beside_it() -> None:
    alone = Outcome(wishes("bass", consistency=True), song(3_000), card())
    among = Outcome(wishes(consistency=True), song(3_000), card())
    assert alone.files["bass"].tobytes() == among.files["bass"].tobytes()


@pytest.mark.parametrize("shifts", [0, 3])
def test_what_is_no_number_is_the_engines_fault(shifts: int) -> None:
    def broken(window: Samples) -> Samples:
        return model(window) * np.float32(np.nan)

    with pytest.raises(Unavailable) as failure:
        Outcome(wishes(shifts=shifts), song(300), card(), separates=broken)
    assert failure.value.code is ErrorCode.ENGINE_FAILED
