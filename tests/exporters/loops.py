"""Demucs' own loop and our pipeline, both around one ONNX engine, and how far they agree."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from uuid import UUID

import numpy as np
import torch
from demucs.apply import apply_model
from numpy.typing import NDArray

from exporters.engine import OnnxEngine
from exporters.export import specify
from exporters.htdemucs.checkpoint import save_checkpoint
from exporters.htdemucs.family import load_htdemucs
from exporters.htdemucs.random_weights import random_htdemucs
from exporters.onnx_export import export_graph
from orchestrator.audio.segments import Plan, SegmentPlan
from orchestrator.finishing import Recipe
from orchestrator.joining import Engine, Separation
from orchestrator.mix import Mix, spool
from orchestrator.segment_scheduler import SegmentScheduler, Share
from orchestrator.tape import Tape
from stemcore.audio_decoder import DecodedSource, SourceFacts
from stemcore.model_card import Licences, ModelCard, StemSource

Samples = NDArray[np.float32]

RATE = 44_100


@dataclass(frozen=True, kw_only=True)
class Model:
    engine: OnnxEngine
    card: ModelCard


def random_model(folder: Path, *, segment_s: Fraction, **size: int) -> Model:
    """HTDemucs with weights from a seed and open LayerScale, as ONNX Runtime runs it."""
    checkpoint = folder / "random.safetensors"
    weights = random_htdemucs(seed=11, segment=segment_s, **size)
    save_checkpoint(weights, checkpoint, provenance={})
    reference = load_htdemucs(str(checkpoint))
    file = folder / "model.onnx"
    export_graph(reference.graph, file, specification=specify(reference, name="random"))
    card = ModelCard(
        name="random",
        description="",
        family="htdemucs",
        stems=tuple(StemSource(stem=s, model="random", output=s) for s in reference.stems),
        sample_rate=RATE,
        segment_samples=reference.segment_samples,
        parameters=reference.parameters,
        files={"1/model.onnx": "0" * 64},
        licences=Licences(code="MIT", weights="none", noncommercial=False),
    )
    return Model(engine=OnnxEngine(file, threads=1), card=card)


class DemucsModel(torch.nn.Module):
    """The engine in the shape that `apply_model` takes."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.engine = model.engine
        self.sources = list(model.card.stem_names)
        self.samplerate = RATE
        self.segment = Fraction(model.card.segment_samples, RATE)

    def valid_length(self, length: int) -> int:
        assert length <= int(self.samplerate * self.segment)
        return int(self.samplerate * self.segment)

    def forward(self, mix: torch.Tensor) -> torch.Tensor:
        answer = self.engine.run(mix.numpy())
        return torch.from_numpy(np.stack([answer[stem] for stem in self.sources], axis=1))


class InProcessSeparator:
    """A StemSeparator around the same engine."""

    def __init__(self, engine: OnnxEngine) -> None:
        self.engine = engine

    async def separate(self, window: Samples, *, card: ModelCard, stems: Sequence[str]) -> Samples:
        outputs = {source.stem: source.output for source in card.stems}
        answer = self.engine.run(window[None])
        return np.stack([answer[outputs[stem]][0] for stem in stems])


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """A SourceStream of samples (frames, channels) at hand."""

    samples: Samples

    @property
    def facts(self) -> SourceFacts:
        return SourceFacts(
            duration_s=len(self.samples) / RATE,
            sample_rate_hz=RATE,
            channels=2,
            codec="none",
            container="none",
        )

    @property
    def ended(self) -> DecodedSource:
        return DecodedSource(facts=self.facts, damaged_packets=0)

    def blocks(self) -> Iterator[Samples]:
        # Blocks of no round size, so that nothing can depend on where they end.
        for start in range(0, len(self.samples), 10_007):
            yield self.samples[start : start + 10_007]


def song(frames: int, *, seed: int = 3) -> Samples:
    """Chords, noise bursts and an offset, with differing sides; (frames, 2)."""
    noise = np.random.default_rng(seed)
    time = np.arange(frames) / RATE
    envelope = 0.2 + np.exp(-6 * (time % 0.37))
    sides = [
        sum(np.sin(2 * np.pi * f * time + phase) for f in (110.0, 164.8, 220.5 + phase))
        + noise.standard_normal(frames) * envelope
        for phase in (0.0, 0.7)
    ]
    return (0.1 * np.stack(sides, axis=1) + 0.01).astype(np.float32)


def demucs_stems(
    model: Model, samples: Samples, *, overlap: float, shifts: int = 0, seed: int = 0
) -> Samples:
    """What `demucs.api.Separator.separate_tensor` computes after a seed; (stems, 2, frames)."""
    random.seed(seed)
    wav = torch.from_numpy(samples.T.copy())
    reference = wav.mean(0)
    mean, deviation = reference.mean(), reference.std() + 1e-8
    stems = apply_model(
        DemucsModel(model),  # type: ignore[arg-type]
        ((wav - mean) / deviation)[None],
        shifts=shifts,
        split=True,
        overlap=overlap,
    )
    return (stems * deviation + mean)[0].numpy()


async def our_stems(
    model: Model,
    samples: Samples,
    folder: Path,
    *,
    overlap: float,
    window: int = 2,
    plan_type: type[SegmentPlan] = SegmentPlan,
    delays_samples: Sequence[int] = (0,),
) -> Samples:
    """The same through spool, windows, overlap-add and tape."""
    card = model.card
    plans = [
        plan_type(
            total_samples=len(samples),
            segment_samples=card.segment_samples,
            hop_samples=card.hop_samples(overlap),
            delay_samples=delay_samples,
        )
        for delay_samples in delays_samples
    ]
    return await planned_stems(model, samples, folder, plans=plans, window=window)


async def planned_stems(
    model: Model, samples: Samples, folder: Path, *, plans: Sequence[Plan], window: int = 2
) -> Samples:
    """(stems, 2, frames) of samples (frames, 2), run by `plans`."""
    card = model.card
    facts = spool(Decoded(samples=samples), folder / "mix.pcm", sample_rate_hz=RATE)
    engine = Engine(
        separator=InProcessSeparator(model.engine),
        scheduler=SegmentScheduler(window=window),
        card=card,
        stems=card.stem_names,
        share=Share(account_id=UUID(int=1)),
    )
    done: list[int] = []

    async def on_segment(count: int) -> None:
        done.append(count)

    with (
        Mix(folder / "mix.pcm", facts) as mix,
        Tape(folder, stems=card.stem_names, total_frames=facts.frames) as tape,
    ):
        separation = Separation(
            mix=mix,
            engine=engine,
            plans=plans,
            recipe=Recipe.of_stems(card.stem_names),
            scratch=folder / "passes.pcm",
        )
        await separation.onto(tape, on_segment=on_segment)
        stems = [[block async for block in tape.blocks(stem)] for stem in card.stem_names]
    assert done == list(range(1, sum(map(len, plans)) + 1))
    return np.stack([np.concatenate(blocks).T for blocks in stems])


def agreement_db(ours: Samples, reference: Samples) -> float:
    """10 log10 of |reference|^2 over |difference|^2, of the worst stem."""
    assert ours.shape == reference.shape
    signal = np.square(reference, dtype=np.float64).sum(axis=(1, 2))
    error = np.square(ours.astype(np.float64) - reference).sum(axis=(1, 2))
    return float(np.min(10 * np.log10(signal / np.maximum(error, 1e-30))))
