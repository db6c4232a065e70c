"""The training run, in miniature."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
import torch
from demucs.htdemucs import HTDemucs

from synthesis import STEMS
from training import model as models
from training.bank import Bank, BankPlan
from training.batches import Mixer, Remix
from training.trainer import RunFiles, Trainer, TrainingPlan, ValidationSet, run

STEP_S = 1.0


@pytest.fixture
def plan() -> TrainingPlan:
    return TrainingPlan(budget_s=4 * STEP_S, excerpts=1, warm_up_s=2.0, report_every=2)


@pytest.fixture
def trainer_of(small_bank: Bank) -> Callable[[TrainingPlan], Trainer]:
    def build(plan: TrainingPlan) -> Trainer:
        mixer = Mixer(banks=[small_bank], remix=Remix(excerpt_s=0.5), seed=plan.seed)
        return Trainer(plan, mixer, _tiny(), clock=_ticks().__next__)

    return build


def _ticks() -> Iterator[float]:
    """Every reading of the clock is one second later."""
    return (STEP_S * tick for tick in count())


def _tiny() -> HTDemucs:
    torch.manual_seed(0)
    return models.untrained(channels=8, layers=1)


def _validation(bank: Bank) -> ValidationSet:
    stems = torch.stack(
        [torch.from_numpy(bank.excerpt(name, 0, start=0, samples=22_050)) for name in STEMS]
    )[None]
    return ValidationSet(mix=stems.sum(dim=1), stems=stems)


def _files(folder: Path) -> RunFiles:
    return RunFiles(
        checkpoint=folder / "run.checkpoint",
        curve=folder / "curve.csv",
        weights=folder / "run.safetensors",
    )


def test_a_resumed_run_equals_an_undisturbed_one(
    trainer_of: Callable[[TrainingPlan], Trainer], plan: TrainingPlan, tmp_path: Path
) -> None:
    undisturbed = trainer_of(plan)
    for _ in range(4):
        undisturbed.advance()
    interrupted = trainer_of(plan)
    for _ in range(2):
        interrupted.advance()
    torch.save(interrupted.state(), tmp_path / "checkpoint")

    resumed = trainer_of(plan)
    resumed.restore(torch.load(tmp_path / "checkpoint", weights_only=True))
    for _ in range(2):
        resumed.advance()

    assert resumed.step == undisturbed.step == 4
    for name, value in undisturbed.averaged.items():
        torch.testing.assert_close(resumed.averaged[name], value, rtol=1e-4, atol=1e-6)


def test_a_run_ends_with_its_budget_and_leaves_curve_weights_and_checkpoint(
    trainer_of: Callable[[TrainingPlan], Trainer],
    plan: TrainingPlan,
    small_bank: Bank,
    tmp_path: Path,
) -> None:
    files = _files(tmp_path)

    run(trainer_of(plan), plan, _validation(small_bank), files)

    header, *rows = files.curve.read_text().splitlines()
    assert header.split(",") == ["step", "active_s", "loss_db", *STEMS]
    assert [row.split(",")[0] for row in rows] == ["2", "4"]
    assert models.load(files.weights).sources == list(STEMS)
    assert torch.load(files.checkpoint, weights_only=True)["step"] == 4


def test_a_finished_run_is_not_trained_further(
    trainer_of: Callable[[TrainingPlan], Trainer],
    plan: TrainingPlan,
    small_bank: Bank,
    tmp_path: Path,
) -> None:
    files = _files(tmp_path)
    run(trainer_of(plan), plan, _validation(small_bank), files)
    again = trainer_of(plan)

    run(again, plan, _validation(small_bank), files)

    assert again.step == 4


def test_a_long_pause_costs_the_budget_twenty_seconds_at_most(
    small_bank: Bank, plan: TrainingPlan
) -> None:
    readings = iter([0.0, 3_600.0])
    mixer = Mixer(banks=[small_bank], remix=Remix(excerpt_s=0.5), seed=1)
    paused = Trainer(plan, mixer, _tiny(), clock=readings.__next__)

    paused.advance()

    assert paused.active_s == 20.0


def test_training_lowers_the_loss_on_one_excerpt(small_bank: Bank) -> None:
    plan = TrainingPlan(
        budget_s=1e9,
        excerpts=1,
        workers=1,
        warm_up_s=1.0,
        learning_rate=2e-2,
        bfloat16=False,
    )
    one_place = replace(small_bank, plan=BankPlan(sampled=0, synthetic=1, duration_s=0.51))
    remix = Remix(excerpt_s=0.5, same_song=1.0, gain_db=0.0, equalise=0.0, saturate=0.0)
    trainer = Trainer(plan, Mixer(banks=[one_place], remix=remix, seed=1), _tiny())
    losses = [trainer.advance() for _ in range(40)]

    assert losses[-1] < losses[0] - 0.5
