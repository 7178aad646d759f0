"""Anything that runs a generated model: the host, a virtual board, a board on a serial port."""

from __future__ import annotations

from typing import Literal, Protocol

from tinyvision.device.protocol import Memory
from tinyvision.ir.types import Array

TargetKind = Literal["host", "virtual", "device"]


class Target(Protocol):
    """Runs one model, whole or layer by layer. Errors are ``DeviceError``s.

    Layers are the plan's steps, banks are numbered in the plan's order. Inputs live in the same
    memory as everything else: a layer may overwrite them, so they are written before every run.
    """

    kind: TargetKind
    layers: int

    def write_input(self, index: int, values: Array) -> None:
        """``values`` in the input's external element type and shape."""

    def run(self, first: int = 0, count: int | None = None) -> int:
        """Runs ``count`` layers (all) from ``first``; returns the cycles taken, 0 if unknown."""

    def read_output(self, index: int) -> Array:
        """Output ``index`` in its external element type and shape."""

    def read_memory(self, bank: int, offset: int, size_bytes: int) -> bytes:
        """Raw bytes of the model's memory."""

    def close(self) -> None:
        """Frees what the target holds; nothing may be called afterwards."""


class ProfilingTarget(Target, Protocol):
    """A target that can also tell time and memory."""

    clock_hz: int

    def profile(self) -> list[int]:
        """Cycles of every layer, each run once in order."""

    def memory(self) -> Memory:
        """Memory touched since the last ``paint``."""

    def paint(self) -> None:
        """Marks all memory as untouched, inputs excepted."""
