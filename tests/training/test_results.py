"""The bundled weights and the committed figures belong together, and hold up when recomputed."""

import hashlib
import json
from statistics import median
from typing import Any

import pytest

from synthesis import STEMS
from training import evaluate, yardsticks
from training import model as models
from training.__main__ import WEIGHTS
from training.results import RESULTS_FILE, judge

TOLERANCE_DB = 0.1
LEVEL_SPREAD_DB = 12.0
HELD_OUT_SONGS = 50


@pytest.fixture(scope="module")
def recorded() -> dict[str, Any]:
    return json.loads(RESULTS_FILE.read_text())


def test_figures_are_those_of_the_bundled_weights(recorded: dict[str, Any]) -> None:
    assert recorded["weights_sha256"] == hashlib.sha256(WEIGHTS.read_bytes()).hexdigest()


def test_bundled_model_is_small_enough() -> None:
    assert models.parameters(models.load(WEIGHTS)) <= 1_800_000


def test_recorded_verdicts_are_the_checkers(recorded: dict[str, Any]) -> None:
    scores = recorded["per_song_db"]
    assert set(scores) == {"model", *yardsticks.all_of(yardsticks.load_equaliser())}
    for name, rows in scores.items():
        found = evaluate.verdict(rows, scores["equaliser"])
        assert recorded["verdicts"][name]["passed"] == found.passed
        assert found.margins_db == pytest.approx(recorded["verdicts"][name]["margins_db"], abs=2e-3)


def test_every_yardstick_fails(recorded: dict[str, Any]) -> None:
    scores = recorded["per_song_db"]
    for name in yardsticks.all_of(yardsticks.load_equaliser()):
        assert not evaluate.verdict(scores[name], scores["equaliser"]).passed


def test_the_model_separates_every_stem(recorded: dict[str, Any]) -> None:
    medians_db = recorded["medians_db"]
    for stem in STEMS:
        assert medians_db["model"][stem] > medians_db["best_fixed_gain"][stem] + 2.0
        assert medians_db["model"][stem] > medians_db["equaliser"][stem] + 1.0


def test_medians_are_those_of_all_songs(recorded: dict[str, Any]) -> None:
    for name, rows in recorded["per_song_db"].items():
        assert len(rows) == HELD_OUT_SONGS
        for stem in STEMS:
            expected = median(row[stem] for row in rows)
            assert recorded["medians_db"][name][stem] == pytest.approx(expected, abs=2e-3)


def test_every_stem_of_every_song_is_within_12_db_of_the_loudest(recorded: dict[str, Any]) -> None:
    assert len(recorded["level_spreads_db"]) == HELD_OUT_SONGS
    assert max(recorded["level_spreads_db"]) <= LEVEL_SPREAD_DB


def test_a_song_scores_what_is_recorded(synthesisers: None, recorded: dict[str, Any]) -> None:
    found = judge(WEIGHTS, 3)

    assert found.spread_db == pytest.approx(recorded["level_spreads_db"][3], abs=TOLERANCE_DB)
    for name, scores in found.scores.items():
        assert scores == pytest.approx(recorded["per_song_db"][name][3], abs=TOLERANCE_DB)
