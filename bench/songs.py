"""Where benchmarks keep what they make, and the songs they are taken on."""

from pathlib import Path

import soundfile

from synthesis import song

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".cache" / "bench"
EXPORTERS = ROOT / ".envs" / "exporters" / "bin" / "python"
TRITON = ROOT / ".envs" / "triton" / "bin" / "python"


def prepare_song(duration_s: float, *, seed: int = 60) -> Path:
    """A synthesised song as a 16-bit stereo WAV file at 44.1 kHz, kept between runs."""
    path = CACHE / f"song-{seed}-{duration_s:g}.wav"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        made = song(seed=seed, duration_s=duration_s)
        soundfile.write(path, made.mix.T, made.sample_rate_hz, subtype="PCM_16")
    return path
