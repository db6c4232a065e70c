"""A whole track through a model of our own, against plain statements over whole arrays."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from orchestrator.adapters.transport import Call
from orchestrator.adapters.triton import TritonSeparator
from orchestrator.audio.overlap_add import triangular_weights
from orchestrator.plans import plans_of
from stemcore.catalogue.memory import MemoryCatalogue
from stemcore.catalogue.triton import TritonSettings
from stemcore.errors import ErrorCode, Unavailable
from stemcore.model_card import ModelCard, StemSource
from stemcore.separation_request import ClipMode, ComplementMode
from tests.unit.orchestrator.tracks import STEMS, Outcome, Recorder, card, model, song, wishes

Samples = NDArray[np.float32]


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


COSTS = [
    (("instrumental",), {}, ("vocals",)),
    (("vocals", "instrumental"), {}, ("vocals",)),
    (("instrumental",), {"complement": ComplementMode.SUM}, ("drums", "bass")),
    (("vocals",), {"consistency": True}, STEMS),
    (("instrumental",), {"shifts": 3}, ("vocals",)),
]


@pytest.mark.parametrize(("names", "options", "asked"), COSTS)
def test_the_engine_is_asked_for_no_more_than_is_needed(
    names: tuple[str, ...], options: dict[str, Any], asked: tuple[str, ...]
) -> None:
    separator = Recorder(model)
    made = Outcome(wishes(*names, **options), song(300), card(), separator=separator)
    assert separator.asked == {asked}
    assert tuple(made.files) == names


class Wire:
    """A Transport that writes down which outputs of which model are asked for."""

    def __init__(self) -> None:
        self.asked: set[tuple[str, tuple[str, ...]]] = set()

    async def infer(self, call: Call) -> None:
        self.asked.add((call.model, tuple(call.targets)))
        for target in call.targets.values():
            target[:] = call.window


@pytest.mark.parametrize(("names", "options", "asked"), COSTS)
@pytest.mark.parametrize("kind", ["one model", "a bag"])
def test_triton_is_asked_for_no_more_than_is_needed(
    kind: str, names: tuple[str, ...], options: dict[str, Any], asked: tuple[str, ...]
) -> None:
    wire = Wire()
    on = card() if kind == "one model" else BAG
    separator = TritonSeparator(wire, MemoryCatalogue(), TritonSettings(address="nowhere"))
    Outcome(wishes(*names, **options), song(300), on, separator=separator)
    if kind == "one model":
        assert wire.asked == {("odd", asked)}
    else:
        assert wire.asked == {(f"odd-{stem}", (stem,)) for stem in asked}


BAG = card(
    stems=tuple(StemSource(stem=stem, model=f"odd-{stem}", output=stem) for stem in STEMS),
    files={},
    parts={f"odd-{stem}": "0" * 64 for stem in STEMS},
)


@settings(max_examples=10, deadline=None)
@given(frames=st.integers(1, 400), clip=st.sampled_from(ClipMode))
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
        Outcome(wishes(shifts=shifts), song(300), card(), separator=Recorder(broken))
    assert failure.value.code is ErrorCode.ENGINE_FAILED
