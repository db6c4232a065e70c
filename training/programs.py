"""Calls the two system synthesisers. Both are separate programs from Debian packages."""

import subprocess
from pathlib import Path

from training.errors import MissingProgramError, RenderError

SOUNDFONT = Path("/usr/share/sounds/sf2/FluidR3_GM.sf2")
PACKAGES = {
    "fluidsynth": "fluidsynth",
    "espeak-ng": "espeak-ng",
    str(SOUNDFONT): "fluid-soundfont-gm",
}


def call(command: list[str], *, timeout_s: float) -> bytes:
    """Run a synthesiser and return what it wrote to standard output.

    Raises MissingProgramError naming the Debian package, or RenderError.
    """
    try:
        done = subprocess.run(command, capture_output=True, timeout=timeout_s, check=True)
    except FileNotFoundError as error:
        package = PACKAGES.get(command[0], command[0])
        raise MissingProgramError(f"{command[0]} is missing: apt-get install {package}") from error
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        raise RenderError(f"{command[0]} failed: {error}") from error
    return done.stdout


def require_soundfont() -> Path:
    """The General MIDI sound font, or MissingProgramError naming its package."""
    if not SOUNDFONT.exists():
        package = PACKAGES[str(SOUNDFONT)]
        raise MissingProgramError(f"{SOUNDFONT} is missing: apt-get install {package}")
    return SOUNDFONT
