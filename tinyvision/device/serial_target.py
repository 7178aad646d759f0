"""A board behind a serial port, real or virtual, as a ``Target``."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

from tinyvision.device.link import Link
from tinyvision.device.protocol import (
    MAX_PAYLOAD,
    Command,
    Memory,
    ProtocolError,
    Reader,
    SelfTest,
    TensorInfo,
)
from tinyvision.device.target import TargetKind
from tinyvision.errors import DeviceError
from tinyvision.ir.types import Array

T = TypeVar("T")
log = logging.getLogger(__name__)

PROTOCOL_VERSION = 1
LAYERS_AT_A_TIME = 16
_WRITE_HEADER_BYTES = 5


class SerialTarget:
    """The agent on ``link``; closes the link when closed, or when it cannot be used.

    ``board``: what its firmware must have been built for, ``model_hash``: what it must run (16
    bytes); None for any. ``macs`` of the model tell how long a run may take at most.
    """

    def __init__(
        self,
        link: Link,
        *,
        kind: TargetKind = "device",
        board: str | None = None,
        model_hash: bytes | None = None,
        macs: int = 10_000_000,
    ) -> None:
        self.kind = kind
        self._link = link
        self._run_seconds = 10 + macs / 1e5
        try:
            self.identity = link.identify()
            self._check_identity(board, model_hash)
            self._payload = min(self.identity.max_payload, MAX_PAYLOAD)
            self.inputs = [self._tensor(0, i) for i in range(self.identity.inputs)]
            self.outputs = [self._tensor(1, i) for i in range(self.identity.outputs)]
        except BaseException:
            link.close()
            raise

    def _check_identity(self, board: str | None, model_hash: bytes | None) -> None:
        who = self.identity
        if who.protocol != PROTOCOL_VERSION:
            raise DeviceError(
                f"the firmware speaks version {who.protocol} of the protocol",
                self._link.port,
                f"this tinyvision speaks version {PROTOCOL_VERSION}",
                "Build and flash again.",
            )
        if board is not None and who.board != board:
            raise DeviceError(
                f"the firmware is for {who.board}, not for {board}",
                self._link.port,
                hint=f"Name its board, --board {who.board}, or flash it with {board}'s firmware.",
            )
        if model_hash is not None and who.model_hash != model_hash[:16]:
            raise DeviceError(
                "the board runs another model",
                self._link.port,
                f"'{who.model}' ({who.model_hash.hex()[:12]}) instead of one with hash "
                f"{model_hash.hex()[:12]}",
                "Write this model's firmware to it: tinyvision flash.",
            )

    def _tensor(self, direction: int, index: int) -> TensorInfo:
        answer = self._link.request(Command.TENSOR, bytes((direction, index)))
        return self._parse(TensorInfo.parse, answer)

    def _parse(self, parse: Callable[[bytes], T], answer: bytes) -> T:
        try:
            return parse(answer)
        except ProtocolError as error:
            raise DeviceError(
                "the board's answer makes no sense",
                self._link.port,
                str(error),
                "Its firmware is of another version: build and flash again.",
            ) from error

    def _exactly(self, answer: bytes, size_bytes: int) -> bytes:
        if len(answer) != size_bytes:
            raise DeviceError(
                "the board's answer makes no sense",
                self._link.port,
                f"{len(answer)} bytes came where {size_bytes} were asked for",
                "Its firmware is of another version: build and flash again.",
            )
        return answer

    def close(self) -> None:
        self._link.close()

    def feed(self, inputs: Sequence[Array]) -> None:
        if len(inputs) != len(self.inputs):
            raise ValueError(f"{len(inputs)} inputs for a model of {len(self.inputs)}")
        for index, (info, values) in enumerate(zip(self.inputs, inputs, strict=True)):
            if values.shape != info.shape or values.dtype != info.external.numpy:
                raise ValueError(
                    f"input {index} is {values.dtype}{values.shape}, the board's is "
                    f"{info.external.value}{info.shape}"
                )
            flat = np.ascontiguousarray(values).reshape(-1)
            step = (self._payload - _WRITE_HEADER_BYTES) // info.external.size_bytes
            for first in range(0, flat.size, step):
                header = bytes((index,)) + first.to_bytes(4, "little")
                data = flat[first : first + step]
                little = data.astype(data.dtype.newbyteorder("<"), copy=False)
                self._link.request(Command.WRITE_INPUT, header + little.tobytes())

    def run(self, first: int = 0, count: int | None = None) -> int:
        layers = self.identity.layers - first if count is None else count
        answer = self._command_once(Command.RUN, first, layers)
        return int.from_bytes(self._exactly(answer, 8), "little")

    def _command_once(self, command: Command, first: int, count: int) -> bytes:
        """Running layers twice differs from once: they may overwrite what they read."""
        payload = first.to_bytes(2, "little") + count.to_bytes(2, "little")
        return self._link.request(command, payload, timeout_seconds=self._run_seconds, attempts=1)

    def fetch(self) -> list[Array]:
        outputs = []
        for index, info in enumerate(self.outputs):
            size = info.external.size_bytes
            step = self._payload // size
            data = b""
            for first in range(0, info.elements, step):
                count = min(step, info.elements - first)
                request = (
                    bytes((index,)) + first.to_bytes(4, "little") + count.to_bytes(2, "little")
                )
                answer = self._link.request(Command.READ_OUTPUT, request)
                data += self._exactly(answer, count * size)
            little = np.frombuffer(data, info.external.numpy.newbyteorder("<"))
            outputs.append(little.astype(info.external.numpy).reshape(info.shape))
        return outputs

    def read_memory(self, bank: int, offset: int, size_bytes: int) -> bytes:
        data = b""
        while len(data) < size_bytes:
            count = min(self._payload, size_bytes - len(data))
            request = bytes((bank,)) + (offset + len(data)).to_bytes(4, "little")
            answer = self._link.request(Command.READ_ARENA, request + count.to_bytes(2, "little"))
            data += self._exactly(answer, count)
        return data

    def profile(self, progress: Callable[[int], None] = lambda layers_done: None) -> list[int]:
        """Cycles of every layer, each run once in order; feed the inputs before."""
        cycles: list[int] = []
        while len(cycles) < self.identity.layers:
            progress(len(cycles))
            count = min(LAYERS_AT_A_TIME, self.identity.layers - len(cycles))
            answer = self._exactly(
                self._command_once(Command.PROFILE, len(cycles), count), 4 * count
            )
            cycles += Reader(answer).unpack(f"{count}I")
        return cycles

    def memory(self) -> Memory:
        """Memory touched since the last ``paint``."""
        return self._parse(Memory.parse, self._link.request(Command.MEMORY))

    def paint(self) -> None:
        """Marks all of the model's memory and the free stack as untouched, inputs excepted."""
        self._link.request(Command.PAINT)

    def self_test(self) -> SelfTest:
        """Runs the model on generated inputs and compares a checksum of its outputs."""
        answer = self._link.request(
            Command.SELF_TEST, timeout_seconds=self._run_seconds, attempts=2
        )
        return self._parse(SelfTest.parse, answer)
