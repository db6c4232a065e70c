"""What keeps a decoder process from harm, as far as this machine allows it."""

from collections.abc import Collection, Set
from enum import StrEnum


class Protection(StrEnum):
    """One thing that a decoder process cannot do; each is tried in the process itself."""

    MEMORY = "memory"
    PROCESSOR_TIME = "processor_time"
    FILE_SIZE = "file_size"
    DESCRIPTORS = "descriptors"
    PRIVILEGES = "privileges"
    FILES = "files"
    SOCKETS = "sockets"
    PROGRAMS = "programs"
    SIGNALS = "signals"


MEANING = {
    Protection.MEMORY: "no more memory than allowed",
    Protection.PROCESSOR_TIME: "no more processor time than allowed",
    Protection.FILE_SIZE: "no byte written to any file",
    Protection.DESCRIPTORS: "no more than a few descriptors",
    Protection.PRIVILEGES: "no rights of root",
    Protection.FILES: "no file but the one handed over",
    Protection.SOCKETS: "no network",
    Protection.PROGRAMS: "no other program or process",
    Protection.SIGNALS: "no signal to other processes",
}


class SandboxTooWeak(Exception):
    """This machine does not give a decoder process the protections that are required."""

    def __init__(self, missing: Collection[Protection]) -> None:
        self.missing = sorted(missing)
        super().__init__(
            f"decoder processes on this machine lack: {', '.join(self.missing)}. Allow seccomp and"
            " Landlock here, or list in SANDBOX__REQUIRE only those you insist on"
        )


def require(required: Set[Protection], *, held: Set[Protection]) -> None:
    """Raise SandboxTooWeak where one that is required does not hold."""
    if missing := required - held:
        raise SandboxTooWeak(missing)
