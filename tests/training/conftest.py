"""The system synthesisers, which a machine may lack, and a bank small enough for tests."""

import shutil
from pathlib import Path

import numpy as np
import pytest

import synthesis
from synthesis import STEMS
from training.bank import Bank, BankPlan
from training.programs import PACKAGES


@pytest.fixture(scope="session")
def synthesisers() -> None:
    """Skip, naming the Debian packages, where fluidsynth, its font or espeak-ng is absent."""
    absent = [
        package
        for program, package in PACKAGES.items()
        if not (shutil.which(program) or Path(program).exists())
    ]
    if absent:
        pytest.skip(f"absent: apt-get install {' '.join(absent)}")


@pytest.fixture(scope="session")
def small_bank() -> Bank:
    """Two synthetic songs of six seconds."""
    plan = BankPlan(sampled=0, synthetic=2, duration_s=6.0)
    songs = [synthesis.song(seed=seed, duration_s=plan.duration_s) for seed in (1, 2)]
    stems = {
        name: np.stack([np.round(song.stems[name].T * 32_000) for song in songs]).astype(np.int16)
        for name in STEMS
    }
    return Bank(plan=plan, stems=stems)
