"""Whole songs against `spleeter.separator.Separator` on TensorFlow, and faults that it finds."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from exporters.card_writer import ModelFolder
from exporters.engine import OnnxEngine
from exporters.export import export_model, specify
from exporters.parity import Step, snr_db
from exporters.reference import Reference
from exporters.runs import run_torch
from exporters.signals import trial_songs
from exporters.spleeter.unet import UNet
from exporters.spleeter.waveform import WaveformSpleeter
from exporters.verification import verify_model
from exporters.windows import separate_song
from orchestrator.audio.joiner import plan_of
from tests.exporters.loops import Model, agreement_db, planned_stems

# TensorFlow starts in seconds, which a busy machine makes minutes of.
pytestmark = pytest.mark.timeout(900)

FLOOR_DB = 80.0
SAME_ARITHMETIC_DB = 130.0
SONGS = {"three windows", "clicks to a seam", "short noise"}


def test_whole_songs_are_those_of_spleeter(
    references: Mapping[str, Reference], tmp_path: Path
) -> None:
    """Two stems; the others take minutes by nature (tests/full)."""
    reference = references["2stems"]
    folder = export_model(reference, name="spleeter", repository=tmp_path)
    card = verify_model(folder, name="spleeter", reference=reference)
    assert card.parity_passed
    assert {(figure.step, figure.signal) for figure in card.parity} >= {
        (step, song) for step in (Step.GRAPH_SONG, Step.ENGINE_SONG) for song in SONGS
    }
    ratios = [figure.snr_db for figure in card.parity if figure.snr_db is not None]
    assert min(ratios) >= FLOOR_DB


def test_the_card_carries_the_plan(exported: Mapping[str, ModelFolder]) -> None:
    card = exported["5stems"].read_card()
    assert card.stem_names == ("vocals", "piano", "drums", "bass", "other")
    assert (card.join, card.weights, card.normalisation) == ("sum", "none", "none")
    assert (card.segment_samples, card.hop, card.lead_in_samples) == (527_360, 524_288, 4_096)
    assert (card.family, card.sample_rate, card.channels) == ("spleeter", 44_100, 2)
    assert card.provenance["configuration"] == "spleeter:5stems"
    assert not card.licences.noncommercial


def altered(reference: Reference, **changes: Any) -> Reference:
    """The same weights in a graph of another configuration, which loads without a complaint."""
    graph = reference.graph
    assert isinstance(graph, WaveformSpleeter)
    configuration = dataclasses.replace(graph.configuration, **changes)
    unets = [UNet(configuration) for _ in graph.unets]
    for new, old in zip(unets, graph.unets, strict=True):
        new.load_state_dict(old.state_dict())
    wrong = WaveformSpleeter(configuration, unets).eval().requires_grad_(False)
    return dataclasses.replace(reference, graph=wrong)


def test_a_wrong_activation_fails_verification(
    references: Mapping[str, Reference], tmp_path: Path
) -> None:
    reference = references["2stems"]
    wrong = altered(reference, conv_activation="ELU")
    folder = export_model(wrong, name="spleeter", repository=tmp_path)
    card = verify_model(folder, name="spleeter", reference=reference)
    assert not card.parity_passed
    failed = {(figure.step, figure.signal) for figure in card.parity if not figure.passed}
    assert failed == {(Step.ENGINE_SONG, song) for song in SONGS}


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("2stems", {"conv_activation": "ReLU"}),
        ("2stems", {"deconv_activation": "LeakyReLU"}),
        ("5stems", {"deconv_activation": "ReLU"}),
        ("5stems", {"softmax": False}),
        ("2stems", {"bins": 1536}),
    ],
)
def test_every_other_configuration_is_far_from_spleeter(
    references: Mapping[str, Reference], name: str, changes: Mapping[str, object]
) -> None:
    assert short_song_db(altered(references[name], **changes)) < FLOOR_DB / 2


def test_padding_at_the_wrong_end_is_far_from_spleeter(
    references: Mapping[str, Reference], monkeypatch: pytest.MonkeyPatch
) -> None:
    pad = torch.nn.functional.pad

    def swapped(values: torch.Tensor, pads: tuple[int, ...], **others: object) -> torch.Tensor:
        return pad(values, (2, 1, 2, 1) if pads == (1, 2, 1, 2) else pads, **others)

    monkeypatch.setattr(torch.nn.functional, "pad", swapped)
    assert short_song_db(references["2stems"]) < FLOOR_DB / 2


def short_song_db(reference: Reference) -> float:
    """The worst stem of the song of one window."""
    specification = specify(reference, name="altered")
    song = trial_songs(specification)["short noise"]
    (truth,) = reference.model.separate([song])
    ours = separate_song(
        lambda window: run_torch(reference.graph, window, reference.stems),
        song,
        specification=specification,
    )
    return min(snr_db(truth[stem], ours[stem]) for stem in reference.stems)


async def test_the_orchestrator_joins_the_windows_to_the_same_song(
    references: Mapping[str, Reference], exported: Mapping[str, ModelFolder], tmp_path: Path
) -> None:
    """Also where the song ends within the second window's lead-in."""
    folder, reference = exported["2stems"], references["2stems"]
    card = folder.read_card()
    model = Model(engine=OnnxEngine(folder.model, threads=1), card=card)
    songs = trial_songs(specify(reference, name="spleeter"))
    for place, song in enumerate((songs["three windows"], songs["clicks to a seam"])):
        scratch = tmp_path / str(place)
        scratch.mkdir()
        plan = plan_of(card, total_samples=song.shape[1], overlap=None)
        ours = await planned_stems(model, song.T, scratch, plans=[plan])
        (truth,) = reference.model.separate([song])
        assert agreement_db(ours, np.stack([truth[stem] for stem in card.stem_names])) >= FLOOR_DB
        plain = separate_song(
            lambda window: {name: part[0] for name, part in model.engine.run(window[None]).items()},
            song,
            specification=specify(reference, name="spleeter"),
        )
        stacked = np.stack([plain[stem] for stem in card.stem_names])
        assert agreement_db(ours, stacked) >= SAME_ARITHMETIC_DB
