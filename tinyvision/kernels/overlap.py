"""How far below an input the output may begin in the same memory without harm.

The kernels that share memory write their output once, in ascending order. When they read for
output element ``i``, the elements before ``i`` are written: none of them may lie on input that
is yet to be read. So the output must begin at least ``max(i - lowest element read for i)``
elements below the input (in bytes where the sizes differ). Reading earlier than that, as copies
of whole rows do, only helps.
"""

from __future__ import annotations

import numpy as np

from tinyvision.ir.types import Array


def lead(reads: Array, written_bytes: int, read_bytes: int | None = None) -> int | None:
    """The smallest ``input.offset - output.offset`` in bytes, or None where sharing is impossible.

    ``reads``: for every output element in the order written, the lowest index of the input
    elements that are read for it, -1 for none (of any shape; taken in C order).
    ``written_bytes``, ``read_bytes``: size of an output and of an input element (equal if left
    out).
    """
    flat = reads.reshape(-1).astype(np.int64)
    written = np.arange(flat.size, dtype=np.int64) * written_bytes
    ahead = (written - flat * (written_bytes if read_bytes is None else read_bytes))[flat >= 0]
    needed = max(int(ahead.max(initial=0)), 0)
    return needed if needed < flat.size * written_bytes else None


def indices(shape: tuple[int, ...]) -> Array:
    """Every element's own index in C order: what a kernel that only moves data moves."""
    return np.arange(int(np.prod(shape)), dtype=np.int64).reshape(shape)
