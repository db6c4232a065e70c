"""Kits of recorded strokes: the right drum, as hard as it is struck."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile

from synthesis import Note, rhythm
from training import drum_samples
from training.errors import MissingProgramError

RATE_HZ = 22_050
LENGTH_S = 0.5
# Every stroke is a tone of its own, in hertz.
STROKES = {"kick-soft": 100, "kick-hard": 200, "snare": 400, "hat": 800, "pedal": 1_600}
KIT = """<drumkit_info xmlns="http://www.hydrogen-music.org/drumkit"><instrumentList>
<instrument><name>Bass Drum 1</name><instrumentComponent>
<layer><filename>kick-hard.wav</filename><min>0.5</min><max>1</max></layer>
<layer><filename>kick-soft.wav</filename><min>0</min><max>0.5</max></layer>
</instrumentComponent></instrument>
<instrument><name>Rock Snare</name><filename>snare.wav</filename></instrument>
<instrument><name>Pedal HH</name><filename>pedal.wav</filename></instrument>
<instrument><name>Closed HH</name><filename>hat.wav</filename></instrument>
<instrument><name>Cowbell</name><filename>absent.wav</filename></instrument>
<instrument><name>17</name></instrument>
</instrumentList></drumkit_info>"""


@pytest.fixture(autouse=True)
def kits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "kit"
    folder.mkdir()
    (folder / "drumkit.xml").write_text(KIT)
    time_s = np.arange(round(LENGTH_S * RATE_HZ)) / RATE_HZ
    for name, frequency_hz in STROKES.items():
        stroke = np.sin(2 * np.pi * frequency_hz * time_s)
        soundfile.write(folder / f"{name}.wav", stroke, RATE_HZ)
    monkeypatch.setattr(drum_samples, "_FOLDER", tmp_path)
    drum_samples._drums.cache_clear()


def struck(pitch: int, velocity: float = 1.0) -> Sequence[Note]:
    return [Note(start_s=0.25, duration_s=0.1, pitch=pitch, velocity=velocity)]


def loudest_hz(track: np.ndarray) -> float:
    return float(np.abs(np.fft.rfft(track[0])).argmax() * 44_100 / track.shape[1])


@pytest.mark.parametrize(
    ("pitch", "stroke"),
    [
        (rhythm.KICK, "kick-hard"),
        (rhythm.SNARE, "snare"),
        (rhythm.CLOSED_HAT, "hat"),
        (rhythm.CRASH, "hat"),
        (rhythm.TOMS[0], "snare"),
        (rhythm.COWBELL, "snare"),
    ],
)
def test_a_key_is_played_by_the_nearest_drum_there_is(pitch: int, stroke: str) -> None:
    track = drum_samples.play(struck(pitch), "kit", samples=44_100)

    assert track.shape == (2, 44_100)
    assert np.abs(track[:, :11_000]).max() == 0
    assert loudest_hz(track) == pytest.approx(STROKES[stroke], abs=2)


def test_a_soft_stroke_is_the_one_that_was_recorded_so() -> None:
    soft = drum_samples.play(struck(rhythm.KICK, 0.4), "kit", samples=44_100)

    assert loudest_hz(soft) == pytest.approx(STROKES["kick-soft"], abs=2)


def test_an_absent_kit_is_named_with_its_package() -> None:
    with pytest.raises(MissingProgramError, match="apt-get install hydrogen-drumkits"):
        drum_samples.play(struck(rhythm.KICK), "another", samples=44_100)
