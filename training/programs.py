"""Calls the two system synthesisers. Both are separate programs from Debian packages."""

import subprocess
from pathlib import Path

from training.errors import MissingProgramError, RenderError

FLUID = "FluidR3_GM"
_FONTS = Path("/usr/share/sounds/sf2")
_PACKAGE_OF_FONT = {
    FLUID: "fluid-soundfont-gm",
    "TimGM6mb": "timgm6mb-soundfont",
    "sf_GMbank": "csound-soundfont",
    "OPL-3_FM_128M": "opl3-soundfont",
    "Black_Pearl_4_LV2": "avldrums.lv2-soundfont",
    "Red_Zeppelin_4_LV2": "avldrums.lv2-soundfont",
}
# What the held-out songs need; further fonts are of use to `prepare` alone.
PACKAGES = {
    "fluidsynth": "fluidsynth",
    "espeak-ng": "espeak-ng",
    str(_FONTS / f"{FLUID}.sf2"): _PACKAGE_OF_FONT[FLUID],
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


def require_font(name: str) -> Path:
    """The file of a sound font, or MissingProgramError naming its package."""
    path = _FONTS / f"{name}.sf2"
    if not path.exists():
        package = _PACKAGE_OF_FONT[name]
        raise MissingProgramError(f"{path} is missing: apt-get install {package}")
    return path
