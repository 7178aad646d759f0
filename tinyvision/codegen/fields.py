"""Integers that kernels may read at run time, where layers share code.

A template computes with the integers of its context and decides by them. Where it prints a
``Field`` instead of an ``int``, the C expression of a run-time value comes out; what it decides and
what it cannot express (a shift of the number itself, its digits in an assembler's text) follows
the value all the same. So one layer's text is right for that layer, and where two layers' texts
come out equal, one function serves both.
"""

from __future__ import annotations

from collections.abc import Callable

from tinyvision.codegen.instances.instance import Value


class Field(int):
    """An integer that prints as the C expression ``text``, of type int32_t. Sums, products, and
    quotients of what is not negative (there C and Python agree) are fields again.
    """

    text: str

    def __new__(cls, value: int, text: str) -> Field:
        field = super().__new__(cls, value)
        field.text = text
        return field

    def __str__(self) -> str:
        return self.text

    def __add__(self, other: int) -> int:
        return self if _is(other, 0) else _joined(self, "+", other, int.__add__)

    def __radd__(self, other: int) -> int:
        return self if _is(other, 0) else _joined(other, "+", self, int.__add__)

    def __sub__(self, other: int) -> int:
        return self if _is(other, 0) else _joined(self, "-", other, int.__sub__)

    def __rsub__(self, other: int) -> int:
        return _joined(other, "-", self, int.__sub__)

    def __mul__(self, other: int) -> int:
        return _product(self, other)

    def __rmul__(self, other: int) -> int:
        return _product(other, self)

    def __neg__(self) -> int:
        return Field(-int(self), f"(-{self})")

    def __floordiv__(self, other: int) -> int:
        return self if _is(other, 1) else _divided(self, "/", other, int.__floordiv__)

    def __rfloordiv__(self, other: int) -> int:
        return _divided(other, "/", self, int.__floordiv__)

    def __mod__(self, other: int) -> int:
        return _divided(self, "%", other, int.__mod__)


def _is(other: int, number: int) -> bool:
    """Whether ``other`` is ``number`` for every layer."""
    return not isinstance(other, Field) and other == number


def _product(a: int, b: int) -> int:
    for one, other in ((a, b), (b, a)):
        if _is(one, 0):
            return 0
        if _is(one, 1):
            return other
    return _joined(a, "*", b, int.__mul__)


def _joined(a: int, sign: str, b: int, compute: Callable[[int, int], int]) -> int:
    return Field(compute(int(a), int(b)), f"({a} {sign} {b})")


def _divided(a: int, sign: str, b: int, compute: Callable[[int, int], int]) -> int:
    value = compute(int(a), int(b))
    return Field(value, f"({a} {sign} {b})") if a >= 0 and b > 0 else value


def members(value: Value, name: str) -> dict[str, int]:
    """The integers of ``value``: ``NAME`` itself, or ``NAME_0``, ``NAME_1``, ... of a tuple."""
    items = {name: value} if not isinstance(value, tuple) else {}
    if isinstance(value, tuple):
        items = {f"{name}_{index}": item for index, item in enumerate(value)}
    return {key: item for key, item in items.items() if isinstance(item, int)}


def as_fields(value: Value, name: str) -> Value:
    """``value`` with its integers as members of the structure ``k``."""
    if isinstance(value, tuple):
        return tuple(
            Field(item, f"k.{name}_{index}") if isinstance(item, int) else item
            for index, item in enumerate(value)
        )
    return Field(value, f"k.{name}") if isinstance(value, int) else value
