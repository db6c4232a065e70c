"""What GPUs are given of the published architecture, tried without one."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import tensorrt_rtx as trt

from exporters.card_writer import ModelFolder
from exporters.engine import OnnxEngine
from exporters.export import export_model
from exporters.htdemucs.checkpoint import RANDOM_WEIGHTS, TRAINED_ON, save_checkpoint
from exporters.htdemucs.family import load_htdemucs
from exporters.htdemucs.random_weights import SIZES, random_htdemucs
from exporters.mixed_precision import to_mixed_precision
from exporters.parity import snr_db
from exporters.rounding import RoundingEngine
from exporters.signals import trial_signals
from exporters.specification import WaveformSpecification
from exporters.tensorrt_build import Batches, build_engine
from tests.exporters import small_graphs

REQUIRED_DB = 45.0
LIMIT_S = 900


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    """41.5 million parameters, LayerScale opened."""
    root = tmp_path_factory.mktemp("full")
    model = random_htdemucs(seed=0, **SIZES["full"])
    save_checkpoint(model, root / "full.safetensors", provenance={TRAINED_ON: RANDOM_WEIGHTS})
    del model
    reference = load_htdemucs(str(root / "full.safetensors"))
    return export_model(reference, name="full", repository=root)


@pytest.fixture(scope="module")
def mixed(full: ModelFolder) -> Path:
    signals = trial_signals(WaveformSpecification.of(full.read_card()))
    model = to_mixed_precision(onnx.load(str(full.model)), signals=[signals["music"]])
    path = full.model.with_name("mixed.onnx")
    onnx.save(model, path)
    return path


@pytest.mark.timeout(LIMIT_S)
def test_fp16_keeps_45_db_on_loud_music_where_every_tensor_is_rounded(
    full: ModelFolder, mixed: Path
) -> None:
    music = trial_signals(WaveformSpecification.of(full.read_card()))["music"]
    assert np.abs(music).max() == pytest.approx(0.9, abs=1e-3)
    truth = OnnxEngine(full.model).run(music[None])
    found = RoundingEngine(mixed).run(music[None])
    levels_db = {stem: snr_db(truth[stem], found[stem]) for stem in truth}
    assert min(levels_db.values()) >= REQUIRED_DB, levels_db
    assert mixed.stat().st_size < 0.6 * full.model.stat().st_size


@pytest.mark.timeout(LIMIT_S)
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_an_engine_for_batches_of_1_to_16_is_built(
    full: ModelFolder, mixed: Path, precision: str
) -> None:
    graph = full.model if precision == "fp32" else mixed
    assert len(build_engine(trt, graph, batches=Batches())) > 50_000_000


@pytest.mark.timeout(LIMIT_S)
@pytest.mark.parametrize(
    "make",
    [
        small_graphs.htdemucs,
        small_graphs.six_stems,
        small_graphs.specialist,
        small_graphs.spleeter,
        lambda _: small_graphs.BUNDLED.model,
    ],
    ids=["htdemucs", "six stems", "specialist of a bag", "spleeter", "stemyard-mini"],
)
def test_every_kind_of_graph_becomes_an_engine(
    make: Callable[[Path], Path], tmp_path: Path
) -> None:
    assert len(build_engine(trt, make(tmp_path), batches=Batches())) > 100_000
