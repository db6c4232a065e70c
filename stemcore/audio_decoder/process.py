"""A decoder process seen from its parent: blocking calls, for threads."""

import contextlib
import json
import math
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Generator
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal, Self

from stemcore.audio_decoder.answers import Finished, Opened, answer_in, broken
from stemcore.audio_decoder.facts import DecodeLimits
from stemcore.audio_decoder.protections import Protection
from stemcore.errors import ErrorCode, InvalidInput

CHILD = Path(__file__).with_name("child")
PACKET_BYTES = 65536

Mode = Literal["probe", "decode"]


class DecoderBroken(Exception):
    """The process cannot be used, and no source is to blame."""


class DecoderProcess:
    """One child for one source. It dies with the thread that started it."""

    def __init__(self, limits: DecodeLimits) -> None:
        self.limits = limits
        self.protections: frozenset[Protection] = frozenset()
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            with theirs, _empty_folder() as folder:
                self._process = subprocess.Popen(
                    [sys.executable, "-I", str(CHILD), json.dumps(_arguments(limits))],
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    cwd=folder,
                    env={},
                    # Ctrl-C is for us alone: a child that died of it would look like a bad source.
                    process_group=0,
                )
        except BaseException:
            self._control.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether the child could still take a request."""
        return self._process.poll() is None

    def kill(self) -> None:
        """End the child at once; readers of its pipes see their end."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """Kill, and hang up."""
        self.kill()
        self._control.close()

    def await_ready(self, *, timeout_s: float) -> None:
        """Wait until the child is confined and knows its protections; raises DecoderBroken."""
        self._control.settimeout(timeout_s)
        try:
            packet = self._control.recv(PACKET_BYTES)
        except (TimeoutError, ConnectionError) as error:
            raise DecoderBroken("it did not become ready") from error
        self._control.settimeout(None)
        answer: dict[str, Any] = json.loads(packet) if packet else {"event": "broken"}
        if answer["event"] != "ready":
            raise DecoderBroken(answer.get("reason", "it ended before it was ready"))
        self.protections = frozenset(Protection(name) for name in answer["protections"])

    def request(self, mode: Mode, *, source: Path, pcm: int | None) -> None:
        """Hand over the opened source and, for decoding, the writing end of a pipe.

        Raises DecoderBroken when the child is gone before it has seen the source.
        """
        packet = json.dumps({"mode": mode, "limits": asdict(self.limits)}).encode()
        descriptor = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
        try:
            handed = [descriptor] if pcm is None else [descriptor, pcm]
            socket.send_fds(self._control, [packet], handed)
            accepted = self._control.recv(PACKET_BYTES)
        except ConnectionError:
            accepted = b""
        finally:
            os.close(descriptor)
        if not accepted:
            raise DecoderBroken("it was gone before its source came")

    def opened(self) -> Opened:
        """The next answer; raises InvalidInput for a refusal and for a child that died."""
        answer = self._answer()
        if not isinstance(answer, Opened):
            raise broken()
        answer.require_within(self.limits)
        return answer

    def finished(self) -> Finished:
        """The last answer; raises as `opened` does."""
        answer = self._answer()
        if not isinstance(answer, Finished):
            raise broken()
        return answer

    def _answer(self) -> Opened | Finished:
        try:
            packet = self._control.recv(PACKET_BYTES)
        except ConnectionError:
            packet = b""
        if not packet:
            raise self._refusal_of_the_dead()
        return answer_in(packet)

    def _refusal_of_the_dead(self) -> InvalidInput:
        if self._process.wait() == -signal.SIGXCPU:
            return InvalidInput(
                ErrorCode.DECODE_TIMEOUT, "Decoding took more processor time than allowed."
            )
        return broken()


def _arguments(limits: DecodeLimits) -> dict[str, int]:
    return {
        "parent": os.getpid(),
        "address_space_bytes": limits.address_space_bytes,
        "cpu_s": math.ceil(limits.decode_timeout_s) + 1,
    }


@contextlib.contextmanager
def _empty_folder() -> Generator[str]:
    """A folder that is removed before the child is in it: nothing can ever be made there, and
    nothing is left of it whatever happens to us."""
    path = Path(tempfile.mkdtemp(prefix="stemyard-decoder-"))
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    path.rmdir()
    try:
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)
