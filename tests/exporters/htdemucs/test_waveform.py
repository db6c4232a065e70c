from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch
from demucs import transformer
from demucs.htdemucs import HTDemucs

from exporters.engine import OnnxEngine
from exporters.errors import UnsupportedModel
from exporters.export import export_model, specify
from exporters.htdemucs.checkpoint import save_checkpoint
from exporters.htdemucs.family import load_htdemucs
from exporters.htdemucs.random_weights import SIZES, random_htdemucs
from exporters.htdemucs.waveform import segment_samples, waveform_graph
from exporters.parity import RANDOM_WEIGHTS, snr_db
from exporters.verification import check_declarations

CONFIGURATIONS: dict[str, dict[str, Any]] = {
    "one stem, mono, other rate": {
        "sources": ["vocals"],
        "audio_channels": 1,
        "samplerate": 16_000,
        "segment": 2,
    },
    "six stems, five layers, cross first": {
        "sources": list("abcdef"),
        "t_layers": 5,
        "t_cross_first": True,
    },
    "shallow, small transform": {"depth": 3, "bottom_channels": 0, "nfft": 2048},
    "deep, branches merged, no transformer": {"depth": 6, "bottom_channels": 0, "t_layers": 0},
    "group norms, scaled positions": {
        "t_group_norm": True,
        "t_norm_in": False,
        "t_norm_in_group": True,
        "t_emb": "scaled",
    },
    "norm last, plain layers, uneven segment": {
        "t_norm_first": False,
        "rewrite": False,
        "dconv_mode": 3,
        "freq_emb": 0.0,
        "norm_starts": 1,
        "segment": Fraction(50_021, 44_100),
    },
}


def build(**settings: Any) -> HTDemucs:
    short = {"segment": Fraction(6, 5)}
    return random_htdemucs(seed=2, **SIZES["tiny"] | short | settings)


def noise(model: HTDemucs, *, batch: int) -> torch.Tensor:
    shape = batch, model.audio_channels, segment_samples(model)
    return torch.randn(shape, generator=torch.Generator().manual_seed(7)) * 0.2


@pytest.mark.parametrize("settings", CONFIGURATIONS.values(), ids=list(CONFIGURATIONS))
def test_any_configuration_is_one_graph_with_the_stems_of_demucs(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    model = build(**settings)
    save_checkpoint(model, tmp_path / "model.safetensors", provenance={})
    reference = load_htdemucs(str(tmp_path / "model.safetensors"))
    folder = export_model(reference, name="any", repository=tmp_path)
    engine = OnnxEngine(folder.model)
    check_declarations(engine, specify(reference, name="any"))

    mix = noise(model, batch=2)
    expected = model(mix).unbind(1)
    in_torch = reference.graph(mix)
    in_engine = engine.run(mix.numpy())
    assert list(in_engine) == model.sources
    for stem, truth, graph in zip(model.sources, expected, in_torch, strict=True):
        assert snr_db(truth.numpy(), graph.numpy()) > RANDOM_WEIGHTS.graph_db
        assert snr_db(truth.numpy(), in_engine[stem]) > RANDOM_WEIGHTS.engine_db


def test_a_running_graph_leaves_demucs_as_it_was(model: HTDemucs) -> None:
    before = transformer.create_2d_sin_embedding, transformer.create_sin_embedding
    waveform_graph(model)
    assert (transformer.create_2d_sin_embedding, transformer.create_sin_embedding) == before


def test_drawing_up_a_graph_leaves_the_random_state_alone(model: HTDemucs) -> None:
    before = torch.random.get_rng_state()
    waveform_graph(model)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_constants_beside_the_weights_stay_below_a_megabyte(tmp_path: Path) -> None:
    """A table of all positions of this transformer alone would be 2 MB."""
    model = build(bottom_channels=128, segment=Fraction(39, 5))
    save_checkpoint(model, tmp_path / "model.safetensors", provenance={})
    reference = load_htdemucs(str(tmp_path / "model.safetensors"))
    folder = export_model(reference, name="any", repository=tmp_path)
    assert folder.model.stat().st_size < 4 * reference.parameters + 1_000_000


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"cac": False}, "cac=False"),
        ({"use_train_segment": False}, "use_train_segment"),
        ({"t_sin_random_shift": 5}, "random"),
        ({"segment": Fraction(1, 20)}, "segment shorter"),
    ],
)
def test_what_the_graph_cannot_express_is_refused_with_its_reason(
    settings: dict[str, Any], reason: str
) -> None:
    with pytest.raises(UnsupportedModel, match=reason):
        waveform_graph(build(**settings))
