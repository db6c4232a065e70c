"""How far two sets of stems agree, and how far they must."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from exporters.audio import Audio
from stemcore.model_card import ParityFigure

# Equal bytes have no error to divide by; JSON has no infinity.
BEST_SNR_DB = 200.0
SILENCE = "silence"
SILENCE_ERROR = 1e-6
# What a candidate may lose beyond what Demucs itself loses to float32: of either rounding, 10 dB
# less than of the other was seen, by chance, on clicks.
ROUNDING_MARGIN_DB = 12.0


class Step(StrEnum):
    GRAPH = "graph: PyTorch against Demucs in float64"
    ENGINE = "engine: ONNX Runtime against Demucs in float64"
    GRAPH_SONG = "graph: PyTorch against Spleeter, whole songs"
    ENGINE_SONG = "engine: ONNX Runtime against Spleeter, whole songs"
    HALF = "engine: fp16, every tensor rounded, against fp32"
    HALF_OUTPUTS = "outputs: fp16 against fp32"
    BATCH_2 = "batch 2 against batch 1"
    BATCH_4 = "batch 4 against batch 1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Floors:
    """Least signal-to-error ratio of the worst stem, dB."""

    graph_db: float = 115.0
    engine_db: float = 95.0
    batch_db: float = 105.0
    # PyTorch's own bfloat16 comes no closer to its float32.
    bf16_db: float = 36.0

    def of(self, step: Step) -> float:
        """Of a step that every export is verified by."""
        floors = {
            Step.GRAPH: self.graph_db,
            Step.ENGINE: self.engine_db,
            Step.GRAPH_SONG: self.graph_db,
            Step.ENGINE_SONG: self.engine_db,
            Step.BATCH_2: self.batch_db,
            Step.BATCH_4: self.batch_db,
        }
        return floors[step]


RANDOM_WEIGHTS = Floors()
# A trained model makes quiet stems: the same rounding weighs more against them.
TRAINED_WEIGHTS = Floors(engine_db=90.0, bf16_db=31.0)


def snr_db(reference: Audio, candidate: Audio) -> float:
    """10 log10 of |reference|^2 over |reference - candidate|^2, in double precision."""
    exact = reference.astype(np.float64)
    error = float(np.square(exact - candidate).sum())
    signal = float(np.square(exact).sum())
    if not np.isfinite(error):
        return -BEST_SNR_DB
    if error == 0.0:
        return BEST_SNR_DB
    if signal == 0.0:
        return -BEST_SNR_DB
    return float(np.clip(10 * np.log10(signal / error), -BEST_SNR_DB, BEST_SNR_DB))


def compare_signal(
    reference: Mapping[str, Audio],
    candidate: Mapping[str, Audio],
    *,
    step: str,
    signal: str,
    floor_db: float,
) -> ParityFigure:
    """By ratio, or by largest error where the signal is silence."""
    if signal == SILENCE:
        return compare_silence(reference, candidate, step=step, signal=signal)
    return compare(reference, candidate, step=step, signal=signal, floor_db=floor_db)


def compare(
    reference: Mapping[str, Audio],
    candidate: Mapping[str, Audio],
    *,
    step: str,
    signal: str,
    floor_db: float,
) -> ParityFigure:
    """The worst stem by signal-to-error ratio."""
    ratios = {stem: snr_db(reference[stem], candidate[stem]) for stem in reference}
    worst = min(ratios, key=ratios.__getitem__)
    measured = round(ratios[worst], 1)
    return ParityFigure(
        step=step,
        signal=signal,
        worst_stem=worst,
        snr_db=measured,
        required_db=floor_db,
        passed=measured >= floor_db,
    )


def compare_silence(
    reference: Mapping[str, Audio], candidate: Mapping[str, Audio], *, step: str, signal: str
) -> ParityFigure:
    """The worst stem by largest absolute error: silence has no power to divide by."""
    errors = {stem: _largest(reference[stem] - candidate[stem]) for stem in reference}
    worst = max(errors, key=errors.__getitem__)
    return ParityFigure(
        step=step,
        signal=signal,
        worst_stem=worst,
        abs_error=errors[worst],
        allowed_abs_error=SILENCE_ERROR,
        passed=errors[worst] <= SILENCE_ERROR,
    )


def _largest(error: Audio) -> float:
    """NaN counts as a full-scale error."""
    return float(np.nan_to_num(np.abs(error), nan=1.0, posinf=1.0).max())
