"""One small export of each kind that the exporters make, as ONNX files."""

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import onnx
import torch

from exporters.card_writer import ModelFolder
from exporters.export import export_model
from exporters.htdemucs.family import load_htdemucs, load_model_or_bag
from exporters.mixed_precision import to_mixed_precision
from exporters.onnx_export import export_graph
from exporters.reference import BagReference
from exporters.signals import trial_signals
from exporters.specification import WaveformSpecification
from exporters.spleeter.configuration import Configuration
from exporters.spleeter.unet import UNet
from exporters.spleeter.waveform import WaveformSpleeter
from tests.exporters.htdemucs.bags import write_bag, write_model

BUNDLED = ModelFolder(Path("model_repository/stemyard-mini"))
SIX_STEMS = ("drums", "bass", "other", "vocals", "guitar", "piano")
MICRO: Mapping[str, Any] = {"nfft": 1024, "segment": Fraction(1, 5)}
SPLEETER = Configuration(
    descriptor="spleeter:2stems",
    instruments=("vocals", "accompaniment"),
    sample_rate=44_100,
    channels=2,
    frame_length=512,
    frame_step=128,
    frames=64,
    bins=128,
    filters=(2, 2, 4, 4, 8, 8),
    conv_activation="LeakyReLU",
    deconv_activation="ReLU",
    softmax=False,
)


def htdemucs(root: Path, **changes: Any) -> Path:
    checkpoint = write_model(root / "htdemucs.safetensors", seed=1, **MICRO | changes)
    return export_model(load_htdemucs(str(checkpoint)), name="htdemucs", repository=root).model


def six_stems(root: Path) -> Path:
    return htdemucs(root, sources=list(SIX_STEMS))


def specialist(root: Path) -> Path:
    """What serves one stem of a bag."""
    bag = load_model_or_bag(str(write_bag(root / "bag")))
    assert isinstance(bag, BagReference)
    return export_model(bag.specialists["vocals"], name="bag-vocals", repository=root).model


def spleeter(root: Path) -> Path:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        unets = [UNet(SPLEETER) for _ in SPLEETER.instruments]
    graph = WaveformSpleeter(SPLEETER, unets).eval().requires_grad_(False)
    specification = WaveformSpecification(
        name="spleeter",
        family="spleeter",
        stems=SPLEETER.instruments,
        sample_rate=SPLEETER.sample_rate,
        channels=SPLEETER.channels,
        segment_samples=SPLEETER.segment_samples,
        parameters=1,
    )
    export_graph(graph, root / "spleeter.onnx", specification=specification)
    return root / "spleeter.onnx"


def mixed(graph: Path) -> Path:
    """The graph in mixed precision, beside it."""
    model = onnx.load(str(graph))
    _, channels, samples = (
        axis.dim_value for axis in model.graph.input[0].type.tensor_type.shape.dim
    )
    specification = WaveformSpecification(
        name="mixed",
        family="any",
        stems=("any",),
        sample_rate=44_100,
        channels=channels,
        segment_samples=samples,
        parameters=1,
    )
    signals = trial_signals(specification)
    path = graph.with_name("mixed.onnx")
    onnx.save(to_mixed_precision(model, signals=[signals["music"]]), path)
    return path
