"""Anything that runs a generated model: the host, a virtual board, a board on a serial port."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

from tinyvision.ir.types import Array

TargetKind = Literal["host", "virtual", "device"]


class Target(Protocol):
    """Runs one model, whole or layer by layer. Errors are UserErrors.

    Layers are the plan's steps, banks are numbered in the plan's order. Inputs live in the same
    memory as everything else and a layer may overwrite them: feed them before every run.
    """

    @property
    def kind(self) -> TargetKind:
        """Where it runs."""

    def feed(self, inputs: Sequence[Array]) -> None:
        """Writes the model's inputs, in their external element types and shapes."""

    def run(self, first: int = 0, count: int | None = None) -> int:
        """Runs ``count`` layers (all that are left) from ``first``; returns the cycles they took,
        0 where these are unknown.
        """

    def fetch(self) -> list[Array]:
        """Reads the model's outputs, in their external element types and shapes."""

    def read_memory(self, bank: int, offset: int, size_bytes: int) -> bytes:
        """Raw bytes of the model's memory."""

    def close(self) -> None:
        """Frees what the target holds; it is of no use afterwards."""
