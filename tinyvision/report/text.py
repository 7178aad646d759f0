"""Numbers and names as people read them."""

from __future__ import annotations

from collections.abc import Sequence

TIMES = "\N{MULTIPLICATION SIGN}"


def size_text(size_bytes: int) -> str:
    """``55.3 KB`` (of 1000 bytes), ``812 B``."""
    if size_bytes < 1000:
        return f"{size_bytes} B"
    if size_bytes < 1_000_000:
        return f"{size_bytes / 1000:.1f} KB"
    return f"{size_bytes / 1_000_000:.2f} MB"


def count_text(count: float) -> str:
    """``7.49 M``, ``264 k``, ``812``."""
    for factor, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= factor:
            scaled = count / factor
            return f"{scaled:.2f} {unit}" if scaled < 10 else f"{scaled:.1f} {unit}"
    return f"{count:.0f}"


def shape_text(shape: Sequence[int]) -> str:
    """``48×48×8``: without a batch of one."""
    shown = shape[1:] if len(shape) > 1 and shape[0] == 1 else shape
    return TIMES.join(map(str, shown)) or "1"


def short_name(name: str, most: int = 28) -> str:
    """The last telling part of a name such as ``net/block_3/conv2d/Relu6;net/bn/Fused``."""
    part = name.split(";")[0].rstrip("/")
    pieces = part.split("/")
    while len(pieces) > 1 and len("/".join(pieces)) > most:
        pieces.pop(0)
    part = "/".join(pieces)
    return part if len(part) <= most else part[: most - 1] + "…"
