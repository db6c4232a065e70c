"""The two synthesisers: in tune, distinct, and named when absent."""

import hashlib

import numpy as np
import pytest

from synthesis import Note
from synthesis.signal import SAMPLE_RATE_HZ, Signal, pitch_hz
from training import manifest, programs, singer, soundfont
from training.errors import MissingProgramError, RenderError
from training.manifest import Instrument
from training.soundfont import Take, Track

TUNING_CENTS = 35.0
ORGAN = Instrument(font=programs.FLUID, program=19)
PAD = Instrument(font=programs.FLUID, program=88)


def _measured_hz(signal: Signal, *, near_hz: float) -> float:
    """The frequency within a semitone and a half of `near_hz` whose harmonics hold most energy."""
    spectrum = np.abs(np.fft.rfft(signal * np.hanning(len(signal)), 1 << 19))
    candidates_hz = near_hz * 2 ** (np.arange(-150, 151) / 1200)
    bins = np.outer(candidates_hz, np.arange(1, 9)) * (1 << 19) / SAMPLE_RATE_HZ
    energy = spectrum[np.round(bins).astype(int)].sum(axis=1)
    return float(candidates_hz[energy.argmax()])


def _cents(measured_hz: float, target_hz: float) -> float:
    return abs(1200 * float(np.log2(measured_hz / target_hz)))


@pytest.mark.parametrize("pitch", [48, 60, 72])
def test_fluidsynth_plays_the_written_pitch(synthesisers: None, pitch: int) -> None:
    note = Note(start_s=0.5, duration_s=1.0, pitch=pitch, velocity=0.8)
    take = Take(tracks=(Track(channel=0, instrument=ORGAN, notes=(note,)),), duration_s=2.0)

    [audio] = soundfont.render([take])

    assert audio.shape == (2, 2 * SAMPLE_RATE_HZ)
    assert np.abs(audio[:, : SAMPLE_RATE_HZ // 4]).max() < 1e-3
    sounding = audio[0, int(0.7 * SAMPLE_RATE_HZ) : int(1.4 * SAMPLE_RATE_HZ)]
    assert _cents(_measured_hz(sounding, near_hz=pitch_hz(pitch)), pitch_hz(pitch)) < TUNING_CENTS


def test_takes_of_one_run_do_not_leak_into_each_other(synthesisers: None) -> None:
    note = Note(start_s=0.0, duration_s=1.0, pitch=60, velocity=1.0)
    played = Take(
        tracks=(Track(channel=0, instrument=PAD, notes=(note,), reverb=1.0),), duration_s=1.0
    )
    silent = Take(tracks=(Track(channel=0, instrument=PAD, notes=()),), duration_s=1.0)

    loud, quiet = soundfont.render([played, silent])

    assert np.abs(quiet).max() < 0.05 * np.abs(loud).max()


@pytest.mark.parametrize("variant", ["f2", "m3"])
def test_a_voice_sings_the_written_pitch(synthesisers: None, variant: str) -> None:
    note = Note(start_s=0.0, duration_s=1.2, pitch=57, velocity=1.0)
    voice = manifest.Voice(language="it", variant=variant)

    sung = singer.sing((note,), voice, np.random.default_rng(3), samples=SAMPLE_RATE_HZ * 3 // 2)

    held = sung[int(0.4 * SAMPLE_RATE_HZ) : int(1.0 * SAMPLE_RATE_HZ)]
    octaves = [pitch_hz(57 + 12 * octave) for octave in (-1, 0, 1)]
    measured = [_cents(_measured_hz(held, near_hz=target), target) for target in octaves]
    assert min(measured) < TUNING_CENTS


def test_every_variant_is_a_voice_of_its_own(synthesisers: None) -> None:
    sources = manifest.load()
    variants = {
        voice.variant for side in (sources.training, sources.held_out) for voice in side.voices
    }

    spoken = {name: _digest(f"en-us+{name}") for name in (*sorted(variants), "no-such-variant")}

    assert len(set(spoken.values())) == len(spoken)


def _digest(voice: str) -> str:
    speech = programs.call(["espeak-ng", "-v", voice, "--stdout", "hello"], timeout_s=20)
    return hashlib.sha256(speech).hexdigest()


def test_absent_program_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")

    with pytest.raises(MissingProgramError, match="apt-get install espeak-ng"):
        programs.call(["espeak-ng", "--version"], timeout_s=20)


def test_failing_program_is_a_render_error() -> None:
    with pytest.raises(RenderError, match="false"):
        programs.call(["false"], timeout_s=20)
