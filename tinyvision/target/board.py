"""Boards: one TOML file each in ``boards/``, read into frozen dataclasses and validated."""

from __future__ import annotations

from dataclasses import dataclass

from tinyvision.target.core import Core


@dataclass(frozen=True)
class Bank:
    """A RAM region that may hold tensors and scratch, fastest first in ``Board.banks``.

    ``size_bytes`` is what the model may use: the region less what the firmware itself keeps there.
    """

    name: str
    address: int
    size_bytes: int


@dataclass(frozen=True)
class Board:
    """What the schedule and the code generator need to know of a board."""

    name: str
    title: str
    core: Core
    clock_mhz: float
    banks: tuple[Bank, ...]
    flash_bytes: int
