"""The GPU table's logic, with a CPU in the place of a GPU and a model of a fifth of a second."""

import argparse
from pathlib import Path

import numpy as np
import pytest

from bench import gpu
from bench.gpu import NOT_MEASURED, Measured, Row, best, lines, measured
from bench.gpu_engines import ENGINES, GPU_ALONE, Subject
from exporters.card_writer import ModelFolder
from exporters.signals import trial_signals
from exporters.specification import WaveformSpecification
from stemcore.model_card import ModelCard
from tests.exporters import small_graphs

REQUIRED_DB = {"pytorch-fp32": 95.0, "onnxruntime-fp16": 45.0}


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    graph = small_graphs.htdemucs(tmp_path_factory.mktemp("gpu"))
    small_graphs.mixed(graph)
    return graph


@pytest.fixture(scope="module")
def card(graph: Path) -> ModelCard:
    return ModelFolder(graph.parent.parent).read_card()


@pytest.fixture(scope="module")
def subject(graph: Path, card: ModelCard) -> Subject:
    root = graph.parent.parent.parent
    np.save(root / "segment.npy", trial_signals(WaveformSpecification.of(card))["music"])
    return Subject(
        checkpoint=str(root / "htdemucs.safetensors"),
        graphs={"fp32": str(graph), "fp16": str(graph.with_name("mixed.onnx"))},
        segment=str(root / "segment.npy"),
        cache=str(root),
        device="cpu",
        batches=(1, 3),
        runs=2,
    )


@pytest.mark.parametrize("engine", REQUIRED_DB)
def test_each_batch_size_is_timed_and_its_stems_compared(
    engine: str, subject: Subject, card: ModelCard, tmp_path: Path
) -> None:
    found = measured(engine, subject, card, tmp_path)
    assert found.reason is None
    assert [row.batch for row in found.rows] == [1, 3]
    hop_s = card.hop_samples() / card.sample_rate
    for row in found.rows:
        assert row.seconds > 0
        assert row.times_real_time == pytest.approx(row.batch * hop_s / row.seconds, abs=0.06)
        assert row.memory_mib > 50
    assert found.snr_db is not None
    assert found.snr_db >= REQUIRED_DB[engine]


def test_an_engine_that_cannot_run_says_why(
    subject: Subject, card: ModelCard, tmp_path: Path
) -> None:
    found = measured("tensorrt-fp16", subject, card, tmp_path)
    assert (found.rows, found.reason) == ((), GPU_ALONE)


def test_the_table_has_a_row_for_each_engine_and_batch() -> None:
    row = Row(engine="a", batch=1, seconds=0.01, times_real_time=585.0, memory_mib=900)
    table = {"a": Measured(rows=(row,), snr_db=50.1, reason="out of memory"), "b": Measured()}
    _, _, *cells = lines(table, [1, 2])
    assert cells[0] == "| a | 1 | 0.01 | 585.0 | 900 | 50.1 |"
    assert cells[1].startswith(f"| a | 2 | {NOT_MEASURED}: out of memory |")
    assert len(cells) == 4
    assert best(table) == {"a": 585.0, "b": NOT_MEASURED}


def test_without_a_gpu_nothing_is_made_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    options = argparse.Namespace(device="cuda", batches=[1], cache=tmp_path)
    table = gpu.table_of(options)
    assert set(table) == set(ENGINES)
    assert {found.reason for found in table.values()} == {"no GPU is visible"}
    assert best(table) == dict.fromkeys(ENGINES, NOT_MEASURED)
