"""The decoder processes of one test, among the children that the whole session has started."""

from collections.abc import Callable

import psutil

from stemcore.audio_decoder.process import CHILD

Decoders = Callable[[], list[psutil.Process]]


def decoders_from_now_on() -> Decoders:
    """Tells those that have not ended, but for the ones that are there now: other fixtures' own."""
    before = set(_running())
    return lambda: [child for child in _running() if child not in before]


def _running() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if str(CHILD) in _command(child)]


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return []
