"""Variants of kernels that take four int8 of a word at a time: their names say so."""

from __future__ import annotations

from tinyvision.kernels.kernel import Kernel

_FOUR = "_x4"


def variant(name: str, lanes: int) -> str:
    """The variant of kernel ``name`` that takes ``lanes`` (1 or 4) elements at a time."""
    return name + (_FOUR if lanes == 4 else "")


def lanes_of(kernel: Kernel) -> int:
    """What ``variant`` was given."""
    return 4 if kernel.variant.endswith(_FOUR) else 1
