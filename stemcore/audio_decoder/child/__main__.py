"""The process that parses what strangers sent. Imports nothing of ours but its neighbours.

Its standard input is a SOCK_SEQPACKET socket. When its libraries are loaded it confines itself and
sends `ready` with the protections that hold. The parent then sends one JSON request with two file
descriptors: the source, opened read-only, and a pipe for PCM. The child answers with JSON packets:
`accepted`, `opened` and then `finished`, or `failed`. PCM is interleaved float32 at the source's
rate.
"""

import json
import os
import socket
import sys
from typing import Any

import av
import av.logging
from confinement import confine
from decoding import answer_to
from rehearsal import rehearse

PACKET_BYTES = 65536


def prepared(arguments: dict[str, Any]) -> dict[str, Any]:
    """Load what is loaded at first use, then give up everything; the first packet to send."""
    av.logging.set_level(None)
    try:
        rehearse()
        return {"event": "ready", "protections": confine(**arguments)}
    except Exception as error:  # noqa: BLE001
        return {"event": "broken", "reason": repr(error)}


def serve(control: socket.socket) -> None:
    """Answer one request."""
    packet, descriptors, _, _ = socket.recv_fds(control, PACKET_BYTES, 2)
    if not packet:
        return

    def tell(answer: dict[str, Any]) -> None:
        # `send` is another system call, one that is not allowed here.
        os.write(control.fileno(), json.dumps(answer).encode())

    try:
        tell({"event": "accepted"})
        tell(answer_to(json.loads(packet), descriptors, tell=tell))
    except BrokenPipeError:
        return


if __name__ == "__main__":
    with socket.socket(fileno=os.dup(sys.stdin.fileno())) as parent:
        os.write(parent.fileno(), json.dumps(prepared(json.loads(sys.argv[1]))).encode())
        serve(parent)
    # No interpreter shutdown: everything of value has been sent.
    os._exit(0)
