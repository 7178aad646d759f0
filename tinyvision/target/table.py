"""Reads a TOML table key by key and refuses what nobody asked for."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import TypeVar

from tinyvision.errors import BoardError

Settings = tuple[tuple[str, int], ...]
"""Named integers in the order of the file; a tuple so that boards hash and pickle."""

T = TypeVar("T", bound=object)
_IDENTIFIER = re.compile(r"[a-z][a-z0-9_]*\Z")
_MISSING = object()


class Table:
    """A table of a board file. Take every key once, then ``finish``: what is left is refused.

    ``where`` names file and table in errors. All problems raise BoardError.
    """

    def __init__(self, data: Mapping[str, object], where: str) -> None:
        self._data, self._where, self._taken = data, where, set[str]()

    def fail(self, what: str, why: str = "", hint: str = "") -> BoardError:
        """The error to raise for something wrong in this table."""
        return BoardError(what, self._where, why, hint)

    def _take(self, key: str, kind: type[T], default: object) -> T:
        self._taken.add(key)
        value = self._data.get(key, default)
        if value is _MISSING:
            raise self.fail(f"key '{key}' is missing")
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise self.fail(f"key '{key}' must be of type {kind.__name__}", f"it is {value!r}")
        return value

    def text(self, key: str, default: object = _MISSING) -> str:
        """A string."""
        return self._take(key, str, default)

    def choice(self, key: str, known: tuple[str, ...]) -> str:
        """A string out of ``known``."""
        value = self.text(key)
        if value not in known:
            raise self.fail(f"'{value}' is no {key}", hint=suggest(value, known))
        return value

    def identifier(self, key: str) -> str:
        """A string that may become part of a file name or a C identifier."""
        value = self.text(key)
        if not _IDENTIFIER.match(value):
            raise self.fail(f"key '{key}' must be a lower-case identifier", f"it is '{value}'")
        return value

    def integer(self, key: str, low: int = 0, high: int = 2**32 - 1, default: int = -1) -> int:
        """An integer in ``[low, high]``; required unless a default of 0 or more is given."""
        value = self._take(key, int, _MISSING if default < 0 else default)
        if not low <= value <= high:
            raise self.fail(f"key '{key}' must be in [{low}, {high:#x}]", f"it is {value:#x}")
        return value

    def flag(self, key: str) -> bool:
        """A truth value, false where the key is missing."""
        return self._take(key, bool, False)

    def number(self, key: str) -> float:
        """A positive number."""
        self._taken.add(key)
        value = self._data.get(key)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0:
            raise self.fail(f"key '{key}' must be a positive number", f"it is {value!r}")
        return float(value)

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of strings, empty where the key is missing."""
        values = self._take(key, list, [])
        if not all(isinstance(value, str) for value in values):
            raise self.fail(f"key '{key}' must be a list of strings")
        return tuple(values)

    def integers(self, key: str) -> tuple[int, ...]:
        """A list of 32-bit numbers, empty where the key is missing."""
        return tuple(self._word(key, value) for value in self._take(key, list, []))

    def pairs(self, key: str) -> tuple[tuple[int, int], ...]:
        """A list of pairs of 32-bit numbers, empty where the key is missing."""
        result = []
        for value in self._take(key, list, []):
            if not isinstance(value, list) or len(value) != 2:
                raise self.fail(f"key '{key}' must be a list of pairs of integers")
            result.append((self._word(key, value[0]), self._word(key, value[1])))
        return tuple(result)

    def table(self, key: str) -> Table:
        """A table within this one."""
        return Table(self._take(key, dict, _MISSING), f"{self._where}, [{key}]")

    def tables(self, key: str) -> tuple[Table, ...]:
        """A list of tables, empty where the key is missing."""
        values = self._take(key, list, [])
        if not all(isinstance(value, dict) for value in values):
            raise self.fail(f"key '{key}' must be a list of tables")
        return tuple(Table(v, f"{self._where}, [[{key}]] {i + 1}") for i, v in enumerate(values))

    def has(self, key: str) -> bool:
        """Whether the key is there."""
        return key in self._data

    def rest(self) -> Settings:
        """Every key not taken so far: integers with names fit for C."""
        result: dict[str, int] = {}
        for key, value in self._data.items():
            if key not in self._taken:
                if not _IDENTIFIER.match(key):
                    raise self.fail(f"key '{key}' must be a lower-case identifier")
                result[key] = self._word(key, value)
        self._taken.update(result)
        return tuple(result.items())

    def finish(self) -> None:
        """Raises BoardError where keys are left that were never taken."""
        for key in self._data:
            if key not in self._taken:
                known = tuple(sorted(self._taken))
                raise self.fail(f"unknown key '{key}'", hint=suggest(key, known))

    def _word(self, key: str, value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**32:
            raise self.fail(f"key '{key}' must hold 32-bit numbers", f"it holds {value!r}")
        return value


def suggest(name: str, known: tuple[str, ...]) -> str:
    """A hint: the nearest of the known names, or all of them."""
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    return f"Did you mean {' or '.join(near)}?" if near else f"Known are: {', '.join(known)}."
