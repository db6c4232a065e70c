import numpy as np
import pytest

from exporters.signals import trial_signals
from exporters.specification import WaveformSpecification

SPECIFICATION = WaveformSpecification(
    name="any",
    family="htdemucs",
    stems=("one",),
    sample_rate=44_100,
    channels=2,
    segment_samples=100_000,
    parameters=1,
)


def test_signals_fill_one_segment_and_repeat() -> None:
    signals, again = trial_signals(SPECIFICATION), trial_signals(SPECIFICATION)
    assert set(signals) == {"music", "clicks", "lone click", "noise", "silence"}
    for name, audio in signals.items():
        assert audio.shape == (2, 100_000)
        assert audio.dtype == np.float32
        assert np.array_equal(audio, again[name])


def test_each_signal_is_what_its_name_says() -> None:
    signals = trial_signals(SPECIFICATION)
    assert np.abs(signals["music"]).max() == pytest.approx(0.9)
    assert 0.99 < np.abs(signals["noise"]).max() <= 1.0
    assert not signals["silence"].any()
    assert np.count_nonzero(signals["clicks"][0]) == 9
    assert np.count_nonzero(signals["lone click"][0]) == 1


def test_the_channels_of_music_differ() -> None:
    left, right = trial_signals(SPECIFICATION)["music"]
    assert np.abs(left - right).max() > 0.1
