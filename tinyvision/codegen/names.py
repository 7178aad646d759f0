"""Names and texts of a model, made safe for C: identifiers, comments, string literals."""

from __future__ import annotations

import math
import re

import numpy as np

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_LIMIT = 48


def is_identifier(text: str) -> bool:
    return _IDENTIFIER.match(text) is not None


def c_identifier(text: str) -> str:
    """``text`` as the part of a C identifier after ``tv_``: lower case, digits, underscores; never
    empty.
    """
    cleaned = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")[:_LIMIT].strip("_")
    return cleaned or "model"


def c_comment(text: str) -> str:
    """``text`` for use inside a C comment or as a plain name: what could end either becomes
    ``_``.
    """
    return re.sub(r"[^A-Za-z0-9_.:/+, ()=-]", "_", text)[:96].strip()


def c_string(text: str) -> str:
    """A C string literal of ``text``'s UTF-8 bytes; everything unusual as three octal digits."""
    plain = re.compile(rb"[A-Za-z0-9_.:/+, ()=-]")
    escaped = "".join(
        chr(byte) if plain.match(bytes([byte])) else f"\\{byte:03o}"
        for byte in text.encode("utf-8", "replace")
    )
    return f'"{escaped}"'


def c_int(value: int) -> str:
    """An integer constant of type int where it fits (INT32_MIN has no literal of its own)."""
    return "(-2147483647 - 1)" if value == -(2**31) else str(int(value))


def c_float(value: float) -> str:
    """A float literal that reads back as the same float32."""
    single = float(np.float32(value))
    if not math.isfinite(single):
        raise ValueError(f"{value} has no float literal")
    text = f"{single:.9g}"
    return f"{text}f" if any(c in text for c in ".e") else f"{text}.0f"
