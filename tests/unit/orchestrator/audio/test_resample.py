import numpy as np
import pytest

from orchestrator.audio.resample import RateConverter, scaled_frames

# soxr's VHQ passes 91 % of the band; a tone inside it comes back like this.
ROUND_TRIP_DB = 110.0


def converted(track: np.ndarray, *, source_hz: int, target_hz: int, frames: int) -> np.ndarray:
    converter = RateConverter(source_hz=source_hz, target_hz=target_hz, channels=2)
    blocks = [converter.push(track[start : start + 999]) for start in range(0, len(track), 999)]
    return np.concatenate([*blocks, converter.finish(total_frames=frames)])


@pytest.mark.parametrize("source_hz", [8_000, 22_050, 32_000, 44_100, 48_000, 96_000, 192_000])
@pytest.mark.parametrize("frames", [1, 2, 3, 999, 48_000, 48_001])
def test_there_and_back_gives_exactly_as_many_frames(source_hz: int, frames: int) -> None:
    track = np.zeros((frames, 2), dtype=np.float32)
    there = max(1, scaled_frames(frames, source_hz=source_hz, target_hz=44_100))
    model = converted(track, source_hz=source_hz, target_hz=44_100, frames=there)
    assert len(model) == there
    back = converted(model, source_hz=44_100, target_hz=source_hz, frames=frames)
    assert len(back) == frames


def test_a_tone_survives_the_round_trip_in_place() -> None:
    time = np.arange(48_000) / 48_000
    tone = np.sin(2 * np.pi * 1_000 * time).astype(np.float32) * np.hanning(48_000)
    track = np.repeat(tone[:, None], 2, axis=1).astype(np.float32)
    there = converted(track, source_hz=48_000, target_hz=44_100, frames=44_100)
    back = converted(there, source_hz=44_100, target_hz=48_000, frames=48_000)
    error = np.square(back.astype(np.float64) - track).sum()
    assert 10 * np.log10(np.square(track, dtype=np.float64).sum() / error) > ROUND_TRIP_DB


def test_equal_rates_pass_untouched() -> None:
    track = np.random.default_rng(1).standard_normal((5_000, 2), dtype=np.float32)
    same = converted(track, source_hz=44_100, target_hz=44_100, frames=5_000)
    assert same.tobytes() == track.tobytes()


def test_halves_round_upwards() -> None:
    assert scaled_frames(1, source_hz=2, target_hz=1) == 1
    assert scaled_frames(3, source_hz=44_100, target_hz=48_000) == 3
    assert scaled_frames(100_003, source_hz=48_000, target_hz=44_100) == 91_878


def test_a_total_that_cannot_be_met_is_refused() -> None:
    converter = RateConverter(source_hz=44_100, target_hz=44_100, channels=2)
    converter.push(np.zeros((10, 2), dtype=np.float32))
    with pytest.raises(ValueError, match="frames are missing"):
        converter.finish(total_frames=11)
