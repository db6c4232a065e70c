"""A decoder process seen from its parent: blocking calls, for a thread of their own."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal, Self

from stemcore.audio_decoder.facts import DecodeLimits
from stemcore.errors import ErrorCode, InvalidInput

CHILD = Path(__file__).with_name("child.py")
PACKET_BYTES = 65536

Mode = Literal["probe", "decode"]


class DecoderProcess:
    """One child for one source; it has loaded its libraries and waits for the request."""

    def __init__(self, limits: DecodeLimits) -> None:
        self._limits = limits
        self._folder = tempfile.mkdtemp(prefix="stemyard-decoder-")
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-B", str(CHILD)],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd=self._folder,
                env={},
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._control.close()
        with contextlib.suppress(OSError):
            Path(self._folder).rmdir()

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._process.pid

    def kill(self) -> None:
        """End the child at once; readers of its pipes see their end."""
        self._process.kill()
        self._process.wait()

    def request(self, mode: Mode, *, source: Path, pcm: int | None, cpu_s: float) -> None:
        """Hand over the opened source and, for decoding, the writing end of a pipe."""
        limits = {**asdict(self._limits), "cpu_s": cpu_s}
        packet = json.dumps({"mode": mode, "limits": limits}).encode()
        descriptor = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
        try:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                handed = [descriptor] if pcm is None else [descriptor, pcm]
                socket.send_fds(self._control, [packet], handed)
        finally:
            os.close(descriptor)

    def answer(self) -> dict[str, Any]:
        """The next packet; raises InvalidInput for a refusal and for a child that died."""
        try:
            packet = self._control.recv(PACKET_BYTES)
        except ConnectionResetError:
            packet = b""
        if not packet:
            raise InvalidInput(ErrorCode.UNREADABLE_AUDIO, "The decoder broke on this file.")
        answer: dict[str, Any] = json.loads(packet)
        if answer["event"] == "failed":
            raise InvalidInput(
                ErrorCode(answer["code"]), answer["message"], details=answer["details"]
            )
        return answer
