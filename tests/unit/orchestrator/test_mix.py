import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from orchestrator.mix import Mix, MixFacts, spool
from stemcore.audio_decoder import DecodedSource, SourceFacts
from stemcore.errors import ErrorCode, InvalidInput


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """A SourceStream of samples at hand."""

    samples: np.ndarray
    rate_hz: int = 44_100

    @property
    def facts(self) -> SourceFacts:
        return SourceFacts(
            duration_s=len(self.samples) / self.rate_hz,
            sample_rate_hz=self.rate_hz,
            channels=self.samples.shape[1],
            codec="none",
            container="none",
        )

    @property
    def ended(self) -> DecodedSource:
        return DecodedSource(facts=self.facts, damaged_packets=0)

    def blocks(self) -> Iterator[np.ndarray]:
        for start in range(0, len(self.samples), 333):
            yield self.samples[start : start + 333]


def track(frames: int) -> np.ndarray:
    return np.random.default_rng(4).uniform(-1, 1, (frames, 2)).astype(np.float32)


def spooled(samples: np.ndarray, path: Path, *, rate_hz: int = 44_100) -> MixFacts:
    return spool(Decoded(samples=samples, rate_hz=rate_hz), path, sample_rate_hz=44_100)


def test_one_pass_tells_frames_peak_and_hash(tmp_path: Path) -> None:
    samples = track(1_000)
    facts = spooled(samples, tmp_path / "mix")
    assert (facts.frames, facts.source_frames) == (1_000, 1_000)
    assert facts.peak == np.abs(samples).max()
    assert facts.sha256 == hashlib.sha256(samples.tobytes()).hexdigest()
    assert (tmp_path / "mix").read_bytes() == samples.tobytes()


def test_another_rate_is_resampled_to_the_exact_length(tmp_path: Path) -> None:
    facts = spooled(track(100_003), tmp_path / "mix", rate_hz=48_000)
    assert (facts.frames, facts.source_frames) == (91_878, 100_003)


def test_windows_hold_zeros_outside_the_track(tmp_path: Path) -> None:
    samples = track(100)
    facts = spooled(samples, tmp_path / "mix")
    with Mix(tmp_path / "mix", facts) as mix:
        window = mix.window(-5, 120)
        inside = mix.window(10, 20)
    assert not window[:, :5].any()
    assert not window[:, 105:].any()
    assert window[:, 5:105].tobytes() == np.ascontiguousarray(samples.T).tobytes()
    assert np.array_equal(inside, samples[10:30].T)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e38, -3e38])
def test_samples_that_are_no_numbers_are_refused(tmp_path: Path, value: float) -> None:
    samples = track(1_000)
    samples[777, 1] = value
    with pytest.raises(InvalidInput) as refusal:
        spooled(samples, tmp_path / "mix")
    assert refusal.value.code is ErrorCode.INVALID_SAMPLES


def test_opposite_infinities_do_not_cancel_out(tmp_path: Path) -> None:
    samples = track(1_000)
    samples[5] = (np.inf, -np.inf)
    with pytest.raises(InvalidInput):
        spooled(samples, tmp_path / "mix")
