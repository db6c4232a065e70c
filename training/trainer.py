"""The training run: resumable, seeded, and ending when its time budget is used up."""

import csv
import logging
import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from demucs.htdemucs import HTDemucs

from synthesis import STEMS
from training import model as models
from training.batches import Mixer
from training.objective import error_db, sdr_db
from training.optimiser import optimisers

_log = logging.getLogger(__name__)
_LONGEST_STEP_S = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingPlan:
    """One run. The learning rate follows the active time, so that the run ends on time."""

    seed: int = 1
    budget_s: float = 9_600.0
    excerpts: int = 2
    workers: int = 2
    learning_rate: float = 5e-3
    weight_decay: float = 0.01
    warm_up_s: float = 30.0
    clip_norm: float = 50.0
    ema_decay: float = 0.999
    bfloat16: bool = True
    # In the order of STEMS: what a stem's error weighs in the loss.
    stem_weights: tuple[float, ...] = (1.0, 1.0, 1.0, 1.0)
    report_every: int = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFiles:
    """Where a run keeps its checkpoint, its learning curve and its averaged weights."""

    checkpoint: Path
    curve: Path
    weights: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidationSet:
    """Fixed segments: `mix` (songs, 2, n) and `stems` (songs, stems, 2, n)."""

    mix: torch.Tensor
    stems: torch.Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class _Share:
    gradients: tuple[torch.Tensor, ...]
    loss_db: float


def _one_thread_each() -> None:
    torch.set_num_threads(1)


class Trainer:
    """Owns model, optimisers and averaged weights; `advance` is one step."""

    def __init__(
        self,
        plan: TrainingPlan,
        mixer: Mixer,
        model: HTDemucs,
        *,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._plan = plan
        self._mixer = mixer
        self._clock = clock
        self.model = model.train()
        self._parameters = list(model.parameters())
        self._optimisers = optimisers(model, lr=plan.learning_rate, weight_decay=plan.weight_decay)
        self._workers = ThreadPoolExecutor(plan.workers, initializer=_one_thread_each)
        self.averaged = {name: value.clone() for name, value in model.state_dict().items()}
        self.step = 0
        self.active_s = 0.0

    @property
    def finished(self) -> bool:
        return self.active_s >= self._plan.budget_s

    def advance(self) -> float:
        """One step; returns its loss in dB. A pause of the process counts as 20 s at most."""
        started = self._clock()
        self._set_learning_rate()
        loss = self._learn()
        self._average()
        self.step += 1
        self.active_s += min(self._clock() - started, _LONGEST_STEP_S)
        return loss

    def _learn(self) -> float:
        """One update from the mean gradient of all workers.

        Every worker runs its own examples on one core: on a busy machine that loses far less than
        two cores that wait for each other after every operation.
        """
        first = self.step * self._plan.workers
        shares = list(self._workers.map(self._gradients, range(first, first + self._plan.workers)))
        for parameter, *gradients in zip(
            self._parameters, *(share.gradients for share in shares), strict=True
        ):
            parameter.grad = torch.stack(gradients).mean(dim=0)
        torch.nn.utils.clip_grad_norm_(self._parameters, self._plan.clip_norm)
        for optimiser in self._optimisers:
            optimiser.step()
        return sum(share.loss_db for share in shares) / len(shares)

    def _gradients(self, number: int) -> _Share:
        stems = torch.from_numpy(self._mixer.batch(number, size=self._plan.excerpts))
        mix = stems.sum(dim=1)
        # Autocast's cache of cast weights is not made for threads that share the weights.
        with torch.autocast(
            "cpu", dtype=torch.bfloat16, enabled=self._plan.bfloat16, cache_enabled=False
        ):
            estimate = self.model(mix)
        loss = error_db(estimate.float(), stems, mix, weights=self._plan.stem_weights)
        gradients = torch.autograd.grad(loss, self._parameters)
        return _Share(gradients=gradients, loss_db=loss.item())

    def _set_learning_rate(self) -> None:
        warm = min(1.0, (self.active_s + 1.0) / self._plan.warm_up_s)
        cosine = 0.5 + 0.5 * math.cos(math.pi * min(1.0, self.active_s / self._plan.budget_s))
        for optimiser in self._optimisers:
            for group in optimiser.param_groups:
                group["lr"] = group["peak_lr"] * warm * (0.01 + 0.99 * cosine)

    @torch.no_grad()
    def _average(self) -> None:
        decay = min(self._plan.ema_decay, (1 + self.step) / (10 + self.step))
        for name, value in self.model.state_dict().items():
            self.averaged[name].lerp_(value, 1 - decay)

    def state(self) -> dict[str, Any]:
        """Everything that a resumed run needs; batches depend on the step alone."""
        return {
            "plan": asdict(self._plan),
            "step": self.step,
            "active_s": self.active_s,
            "model": self.model.state_dict(),
            "averaged": self.averaged,
            "optimisers": [optimiser.state_dict() for optimiser in self._optimisers],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state`; the plan's own budget and rates hold from here."""
        self.step, self.active_s = state["step"], state["active_s"]
        self.model.load_state_dict(state["model"])
        self.averaged = state["averaged"]
        for optimiser, saved in zip(self._optimisers, state["optimisers"], strict=True):
            peaks = [group["peak_lr"] for group in optimiser.param_groups]
            optimiser.load_state_dict(saved)
            for group, peak in zip(optimiser.param_groups, peaks, strict=True):
                group["peak_lr"] = peak


def validate(
    model: HTDemucs, state: dict[str, torch.Tensor], validation: ValidationSet
) -> dict[str, float]:
    """Median SDR per stem of `state`, in the evaluation mode that serving uses."""
    arguments, keywords = models.configuration(model)
    twin = HTDemucs(*arguments, **keywords)
    twin.load_state_dict(state)
    twin.eval()
    with torch.no_grad():
        estimates = torch.cat([twin(mix[None]) for mix in validation.mix])
    medians = sdr_db(estimates, validation.stems).median(dim=0).values
    return {name: round(value, 3) for name, value in zip(STEMS, medians.tolist(), strict=True)}


def run(trainer: Trainer, plan: TrainingPlan, validation: ValidationSet, files: RunFiles) -> None:
    """Train until the budget is used up, going on from the checkpoint when there is one."""
    if files.checkpoint.exists():
        trainer.restore(torch.load(files.checkpoint, weights_only=True))
        _log.info("resumed at step %d, %.0f s", trainer.step, trainer.active_s)
    losses: list[float] = []
    while not trainer.finished:
        losses.append(trainer.advance())
        if trainer.step % plan.report_every == 0 or trainer.finished:
            _report(trainer, validation, files, loss_db=sum(losses) / len(losses))
            losses.clear()


def _report(
    trainer: Trainer, validation: ValidationSet, files: RunFiles, *, loss_db: float
) -> None:
    scores = validate(trainer.model, trainer.averaged, validation)
    row = {
        "step": trainer.step,
        "active_s": round(trainer.active_s, 1),
        "loss_db": round(loss_db, 3),
        **scores,
    }
    _append(files.curve, row)
    _log.info("%s", row)
    models.save(trainer.model, trainer.averaged, files.weights, step=str(trainer.step))
    _replace(files.checkpoint, lambda path: torch.save(trainer.state(), path))


def _append(curve: Path, row: dict[str, Any]) -> None:
    curve.parent.mkdir(parents=True, exist_ok=True)
    is_new = not curve.exists()
    with curve.open("a", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(row))
        if is_new:
            writer.writeheader()
        writer.writerow(row)


def _replace(path: Path, write: Callable[[Path], None]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".partial")
    write(unfinished)
    unfinished.replace(path)
