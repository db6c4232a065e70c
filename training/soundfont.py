"""Plays parts with the instruments of sound fonts through fluidsynth."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import mido
import numpy as np
import soundfile

from synthesis import Note
from synthesis.signal import SAMPLE_RATE_HZ, Signal
from training import drum_samples
from training.manifest import HYDROGEN, KIT_FONTS, Instrument
from training.programs import call, require_font

_DRUM_CHANNEL = 9
_TICKS_PER_S = 1_000
_PAUSE_S = 1.0
_LOUD = 112
_VOLUME, _PAN, _REVERB, _CHORUS, _ALL_SOUND_OFF = 7, 10, 91, 93, 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """Notes for one instrument. `pan`, `reverb` and `chorus` lie in 0..1."""

    channel: int
    instrument: Instrument
    notes: tuple[Note, ...]
    gain: float = 1.0
    pan: float = 0.5
    reverb: float = 0.1
    chorus: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Take:
    """Tracks that sound together for `duration_s`."""

    tracks: tuple[Track, ...]
    duration_s: float


def drum_channel(kit: Instrument) -> int:
    """General MIDI's, but in fonts that are one kit, which is an instrument like others there."""
    return 0 if kit.font in KIT_FONTS else _DRUM_CHANNEL


def render(takes: Sequence[Take]) -> list[Signal]:
    """Each take as float32 (2, n) at 44.1 kHz, by one run of fluidsynth for each font."""
    recordings = [
        np.zeros((2, round(take.duration_s * SAMPLE_RATE_HZ)), dtype=np.float32) for take in takes
    ]
    for font in sorted({track.instrument.font for take in takes for track in take.tracks}):
        parts = {
            index: part for index, take in enumerate(takes) if (part := _part(take, font)).tracks
        }
        for index, part in zip(parts, _played(font, list(parts.values())), strict=True):
            recordings[index] += part
    return recordings


def _part(take: Take, font: str) -> Take:
    """What instruments of the font play of it."""
    return replace(take, tracks=tuple(t for t in take.tracks if t.instrument.font == font))


def _played(name: str, takes: list[Take]) -> list[Signal]:
    if name.startswith(HYDROGEN):
        return [_drummed(name.removeprefix(HYDROGEN), take) for take in takes]
    font = require_font(name)
    with tempfile.TemporaryDirectory(prefix="stemyard-midi-") as folder:
        score, audio = Path(folder, "score.mid"), Path(folder, "audio.wav")
        starts_s = _write(takes, score)
        _fluidsynth(font, score, audio)
        samples, _ = soundfile.read(audio, dtype="float32", always_2d=True)
    return [
        _cut(samples.astype(np.float32), start_s=start_s, duration_s=take.duration_s)
        for start_s, take in zip(starts_s, takes, strict=True)
    ]


def _drummed(kit: str, take: Take) -> Signal:
    notes = [note for track in take.tracks for note in track.notes]
    return drum_samples.play(notes, kit, samples=round(take.duration_s * SAMPLE_RATE_HZ))


def _cut(samples: Signal, *, start_s: float, duration_s: float) -> Signal:
    length = round(duration_s * SAMPLE_RATE_HZ)
    start = round(start_s * SAMPLE_RATE_HZ)
    piece = samples[start : start + length]
    return np.pad(piece, ((0, length - len(piece)), (0, 0))).T.copy()


def _fluidsynth(font: Path, score: Path, audio: Path) -> None:
    settings = {
        "synth.sample-rate": SAMPLE_RATE_HZ,
        "synth.polyphony": 256,
        "synth.dynamic-sample-loading": 1,
        "synth.gain": 0.3,
        "player.timing-source": "sample",
    }
    options = [part for name, value in settings.items() for part in ("-o", f"{name}={value}")]
    output = ["-T", "wav", "-O", "float", "-F", str(audio)]
    call(["fluidsynth", "-niq", *options, *output, str(font), str(score)], timeout_s=600)


def _write(takes: list[Take], path: Path) -> list[float]:
    timeline: list[tuple[float, int, mido.Message]] = []
    starts_s: list[float] = []
    clock_s = 0.0
    for take in takes:
        starts_s.append(clock_s)
        for track in take.tracks:
            timeline += _messages(track, clock_s)
        clock_s += take.duration_s + _PAUSE_S
        timeline += [
            (clock_s - 0.1, 2, _control(channel, _ALL_SOUND_OFF, 0)) for channel in range(16)
        ]
    _save(timeline, path)
    return starts_s


def _messages(track: Track, start_s: float) -> list[tuple[float, int, mido.Message]]:
    channel = track.channel
    set_up = [
        mido.Message("program_change", channel=channel, program=track.instrument.program),
        _control(channel, _VOLUME, round(100 * track.gain)),
        _control(channel, _PAN, round(127 * track.pan)),
        _control(channel, _REVERB, round(127 * track.reverb)),
        _control(channel, _CHORUS, round(127 * track.chorus)),
    ]
    timeline = [(start_s, 0, message) for message in set_up]
    for note in track.notes:
        velocity = max(1, round(_LOUD * note.velocity))
        struck_s = start_s + note.start_s
        timeline += [
            (
                struck_s,
                3,
                mido.Message("note_on", channel=channel, note=note.pitch, velocity=velocity),
            ),
            (
                struck_s + note.duration_s,
                1,
                mido.Message("note_off", channel=channel, note=note.pitch),
            ),
        ]
    return timeline


def _note(kind: str, channel: int, note: Note, *, velocity: int) -> mido.Message:
    return mido.Message(kind, channel=channel, note=note.pitch, velocity=velocity)


def _control(channel: int, control: int, value: int) -> mido.Message:
    return mido.Message(
        "control_change", channel=channel, control=control, value=min(max(value, 0), 127)
    )


def _save(timeline: list[tuple[float, int, mido.Message]], path: Path) -> None:
    file = mido.MidiFile(type=0, ticks_per_beat=_TICKS_PER_S)
    track = mido.MidiTrack()
    track.append(mido.MetaMessage("set_tempo", tempo=1_000_000))
    now = 0
    for time_s, _, message in sorted(timeline, key=lambda entry: entry[:2]):
        tick = round(time_s * _TICKS_PER_S)
        track.append(message.copy(time=tick - now))
        now = tick
    file.tracks.append(track)
    file.save(str(path))
