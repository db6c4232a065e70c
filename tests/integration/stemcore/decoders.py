"""The decoder processes of this one, among the servers that the whole session has started."""

import psutil

from stemcore.audio_decoder.process import CHILD


def decoders() -> list[psutil.Process]:
    """Those that have not ended."""
    return [child for child in psutil.Process().children() if str(CHILD) in _command(child)]


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return []
