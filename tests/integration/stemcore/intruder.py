"""Runs as a decoder process does, confined or not, and tries to do harm; prints what it could do.

Arguments: the decoder's folder, `confined` or `free`, a neighbouring file, a port that listens.
"""

import ctypes
import importlib
import json
import mmap
import os
import resource
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path

FOLDER, MODE, NEIGHBOUR, PORT = (*sys.argv[1:5], *[""] * 4)[:4]
PARENT, USER = os.getppid(), os.getuid()
TWO_GIGABYTES = 2 << 30
SYS_PTRACE, PTRACE_TRACEME = 101, 0


def allocate() -> None:
    bytearray(TWO_GIGABYTES)


def connect() -> None:
    with socket.socket() as client:
        client.connect(("127.0.0.1", int(PORT)))


def read_neighbour() -> None:
    Path(NEIGHBOUR).read_bytes()


def run_program() -> None:
    os.waitpid(os.posix_spawn(sys.executable, [sys.executable, "-I", "-S", "-c", ""], {}), 0)


def fork() -> None:
    child = os.fork()
    if not child:
        os._exit(0)
    os.waitpid(child, 0)


def start_thread() -> None:
    thread = threading.Thread(target=list)
    thread.start()
    thread.join()


def write_file() -> None:
    Path("new").write_bytes(b"x")
    Path("new").unlink()


def raise_limit() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))


def trace() -> None:
    if ctypes.CDLL(None, use_errno=True).syscall(SYS_PTRACE, PTRACE_TRACEME, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "ptrace")


ATTEMPTS: dict[str, Callable[[], object]] = {
    "allocate 2 GB": allocate,
    "connect": connect,
    "open a datagram socket": lambda: socket.socket(type=socket.SOCK_DGRAM).close(),
    "open a local socket": lambda: socket.socket(socket.AF_UNIX).close(),
    "read a neighbouring file": read_neighbour,
    "list a folder": lambda: os.listdir("/"),  # noqa: PTH208
    "ask whether a file is there": lambda: os.stat(NEIGHBOUR),  # noqa: PTH116
    "write a file": write_file,
    "make a folder": lambda: (os.mkdir("made"), os.rmdir("made")),  # noqa: PTH102, PTH106
    "make a file in memory": lambda: os.close(os.memfd_create("x")),
    "run a program": run_program,
    "fork": fork,
    "start a thread": start_thread,
    "signal its parent": lambda: os.kill(PARENT, 0),
    "map memory that runs": lambda: mmap.mmap(
        -1, 4096, prot=mmap.PROT_READ | mmap.PROT_EXEC
    ).close(),
    "hold 100 descriptors": lambda: [os.dup(0) for _ in range(100)],
    "set a limit": raise_limit,
    "become somebody else": lambda: os.setuid(USER),
    "trace": trace,
}


def outcome(attempt: Callable[[], object]) -> str:
    try:
        attempt()
    except (OSError, MemoryError, RuntimeError, ValueError) as error:
        return repr(error)
    return "done"


if __name__ == "__main__":
    sys.path.insert(0, FOLDER)
    held: list[str] = []
    if MODE == "confined":
        confine = importlib.import_module("confinement").confine
        held = confine(parent=PARENT, address_space_bytes=1 << 30, cpu_s=5)
    tried = {name: outcome(attempt) for name, attempt in ATTEMPTS.items()}
    os.write(1, json.dumps({"held": held, "tried": tried}).encode())
    os._exit(0)
