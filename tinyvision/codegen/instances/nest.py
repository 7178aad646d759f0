"""Loop nests over tensors: as few loops as the strides allow."""

from __future__ import annotations

from itertools import accumulate
from operator import mul


def strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Elements between neighbours along each axis of a dense tensor."""
    return tuple(accumulate((1, *shape[:0:-1]), mul))[::-1] if shape else ()


def broadcast_strides(shape: tuple[int, ...], target: tuple[int, ...]) -> tuple[int, ...]:
    """Strides with which a tensor of ``shape`` is read as one of shape ``target``: 0 where it
    repeats.
    """
    missing = len(target) - len(shape)
    own = strides(shape)
    return (0,) * missing + tuple(
        0 if size == 1 else step for size, step in zip(shape, own, strict=True)
    )


def collapse(
    shape: tuple[int, ...], *operands: tuple[int, ...]
) -> tuple[tuple[int, ...], tuple[tuple[int, ...], ...]]:
    """The same nest with axes of size 1 dropped and neighbours merged where every operand's
    strides allow it.

    Returns the loops' sizes (at least one loop) and each operand's strides.
    """
    loops: list[tuple[int, tuple[int, ...]]] = []
    for size, *steps in zip(shape, *operands, strict=True):
        if size == 1:
            continue
        step = tuple(steps)
        if loops and loops[-1][1] == tuple(s * size for s in step):
            loops[-1] = (loops[-1][0] * size, step)
        else:
            loops.append((size, step))
    if not loops:
        loops.append((1, (0,) * len(operands)))
    sizes = tuple(size for size, _ in loops)
    return sizes, tuple(tuple(step[i] for _, step in loops) for i in range(len(operands)))
