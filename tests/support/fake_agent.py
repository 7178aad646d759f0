"""An agent in Python on a TCP port, that misbehaves as told: for tests of the host's end."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable

from tinyvision.device.protocol import RESPONSE, Command, Decoder, Frame, Status, encode

HASH = bytes(range(16))
Behaviour = Callable[[Frame], bytes]


def text(value: str) -> bytes:
    return bytes((len(value),)) + value.encode()


def identity(
    *, protocol: int = 1, layers: int = 3, model: str = "fake", model_hash: bytes = HASH
) -> bytes:
    head = struct.pack("<BH", protocol, 1024) + text("board") + text(model) + text("build")
    return head + model_hash + struct.pack("<HBBBIB", layers, 1, 1, 1, 100_000_000, 1)


def tensor() -> bytes:
    """int8[1, 4, 4, 3] in bank 0."""
    return struct.pack("<BBB4iIfiBI", 0, 0, 4, 1, 4, 4, 3, 48, 0.5, 3, 0, 0)


def answer(request: Frame, payload: bytes = b"", status: int = Status.OK) -> bytes:
    body = bytes((status,)) + payload
    return encode(Frame(request.seq, request.command | RESPONSE, body))


def fault(pc: int = 0x08000100, lr: int = 0, cfsr: int = 0x8200, bfar: int = 0x30100000) -> bytes:
    return struct.pack("<5IHB", pc, lr, cfsr, 1 << 30, bfar, 1, 3)


def behave(request: Frame) -> bytes:
    """A sound agent with a model that answers its input."""
    payloads = {
        Command.IDENTIFY: identity(),
        Command.TENSOR: tensor(),
        Command.RUN: struct.pack("<Q", 1234),
        Command.PROFILE: struct.pack("<3I", 1, 2, 3),
        Command.MEMORY: struct.pack("<IIIIB", 48, 40, 1024, 100, 0),
        Command.SELF_TEST: struct.pack("<IIB", 7, 7, 1),
        Command.READ_OUTPUT: bytes(48),
    }
    return answer(request, payloads.get(Command(request.command), b""))


class FakeAgent:
    """Serves one client at a time; ``requests`` are the sound frames that came in."""

    def __init__(self, behaviour: Behaviour = behave, greeting: bytes = b"") -> None:
        self._behaviour, self._greeting = behaviour, greeting
        self.requests: list[Frame] = []
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = f"socket://127.0.0.1:{self._server.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def __enter__(self) -> FakeAgent:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join(5)

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            with client:
                try:
                    self._talk(client)
                except OSError:
                    continue

    def _talk(self, client: socket.socket) -> None:
        decoder = Decoder()
        client.sendall(self._greeting)
        while data := client.recv(4096):
            for frame in decoder.feed(data):
                self.requests.append(frame)
                reply = self._behaviour(frame)
                if reply == HANG_UP:
                    return
                client.sendall(reply)


HANG_UP = b"hang up"
"""A reply that closes the connection instead."""
