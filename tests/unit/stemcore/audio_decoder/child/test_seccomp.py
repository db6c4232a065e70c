"""The filter, run by a small interpreter of classic BPF."""

import struct
from collections.abc import Sequence

import pytest

from stemcore.audio_decoder.child.seccomp import Instruction, program

X86_64, I386 = 0xC000003E, 0x40000003
ALLOW, REFUSE, KILL = 0x7FFF0000, 0x00050001, 0x80000000
X32_BIT = 1 << 30

READ, WRITE, OPEN, MMAP, MPROTECT, SOCKET, SENDMSG = 0, 1, 2, 9, 10, 41, 46
CLONE, EXECVE, KILL_CALL, PRCTL, OPENAT, PRLIMIT, IO_URING = 56, 59, 62, 157, 257, 302, 425
RUNS, READ_ONLY = 0b101, 0b001


def verdict(
    instructions: Sequence[Instruction], number: int, *, third: int = 0, architecture: int = X86_64
) -> int:
    data = struct.pack("=IIQ6Q", number, architecture, 0, 0, 0, third, 0, 0, 0)
    accumulator, at = 0, 0
    while True:
        code, if_true, if_false, operand = instructions[at]
        at += 1
        if code == 0x06:
            return operand
        if code == 0x20:
            (accumulator,) = struct.unpack_from("=I", data, operand)
            continue
        holds = accumulator == operand if code == 0x15 else bool(accumulator & operand)
        at += if_true if holds else if_false


@pytest.mark.parametrize("number", [READ, WRITE, MMAP, MPROTECT])
def test_what_decoding_takes_is_allowed(number: int) -> None:
    assert verdict(program(), number, third=READ_ONLY) == ALLOW


@pytest.mark.parametrize(
    "number",
    [OPEN, SOCKET, SENDMSG, CLONE, EXECVE, KILL_CALL, PRCTL, OPENAT, PRLIMIT, IO_URING, 10_000],
)
def test_anything_else_is_refused(number: int) -> None:
    assert verdict(program(), number) == REFUSE


@pytest.mark.parametrize("number", [MMAP, MPROTECT])
def test_memory_never_becomes_code(number: int) -> None:
    assert verdict(program(), number, third=RUNS) == REFUSE


def test_the_calls_of_other_architectures_end_the_process() -> None:
    assert verdict(program(), READ, architecture=I386) == KILL


def test_the_other_numbering_of_x86_64_is_refused() -> None:
    assert verdict(program(), READ | X32_BIT) == REFUSE
