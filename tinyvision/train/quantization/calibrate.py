"""The range of each int8 tensor, from what the float network computes on some pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from tinyvision.ir.types import Array
from tinyvision.train.quantization.graph import Call, Network, Value, execute, read
from tinyvision.train.quantization.layers import STEPS, Range, Weighted, nudged

BINS = 2048
BATCH = 32
PERCENTILE = 99.99
"""Of the values, how many in a hundred lie within the range."""


@dataclass
class Observed:
    """What was seen of the tensors of one range; ``counts`` over equal bins from low to high."""

    low: float
    high: float
    counts: Array

    @property
    def centres(self) -> Array:
        width = (self.high - self.low) / BINS
        return self.low + width * (np.arange(BINS) + 0.5)


def minmax(seen: Observed) -> tuple[float, float]:
    """All of it."""
    return seen.low, seen.high


def percentile(seen: Observed) -> tuple[float, float]:
    """All but the outermost values, half of them at either end."""
    outside = (1 - PERCENTILE / 100) / 2 * seen.counts.sum()
    total = np.cumsum(seen.counts)
    first = int(np.searchsorted(total, outside, side="right"))
    last = int(np.searchsorted(total, total[-1] - outside, side="left"))
    edges = np.linspace(seen.low, seen.high, BINS + 1)
    return float(edges[first]), float(edges[min(last, BINS - 1) + 1])


def mse(seen: Observed) -> tuple[float, float]:
    """The part of it that gives the least mean square error of rounding and clipping together."""
    values, counts = seen.centres, seen.counts

    def error(limits: tuple[float, float]) -> float:
        low, high = nudged(*limits)
        scale = (high - low) / STEPS
        rounded = np.round(np.clip(values, low, high) / scale) * scale
        return float(counts @ np.square(rounded - values))

    shares = np.linspace(1.0, 0.1, 91)
    return min(((seen.low * share, seen.high * share) for share in shares), key=error)


METHODS: dict[str, Callable[[Observed], tuple[float, float]]] = {
    "minmax": minmax, "percentile": percentile, "mse": mse,
}  # fmt: skip


def calibrate(model: keras.Model, images: Array, method: str = "minmax") -> None:
    """Sets the ranges of a network of ``rewrite`` that are not fixed, from ``images`` (N, ...)."""
    for layer, seen in observe(read(model), images).items():
        if not layer.fixed:
            layer.assign(*METHODS[method](seen))


def observe(network: Network, images: Array) -> dict[Range, Observed]:
    """What the float network puts where each range is, in two passes: limits, then counts."""
    limits: dict[Range, tuple[float, float]] = {}
    for layer, values in _ranged(network, images):
        low, high = limits.get(layer, (np.inf, -np.inf))
        limits[layer] = min(low, float(values.min())), max(high, float(values.max()))
    seen = {
        layer: Observed(low, max(high, low + 1e-9), np.zeros(BINS))
        for layer, (low, high) in limits.items()
    }
    for layer, values in _ranged(network, images):
        one = seen[layer]
        one.counts += np.histogram(values, BINS, (one.low, one.high))[0]
    return seen


def _ranged(network: Network, images: Array) -> Iterator[tuple[Range, Array]]:
    found: list[tuple[Range, Array]] = []

    def visit(call: Call, values: dict[Value, Any]) -> tuple[Any, ...]:
        if isinstance(call.operation, Range):
            found.append((call.operation, np.asarray(values[call.inputs[0]])))
        return float_outputs(call, values)

    for start in range(0, len(images), BATCH):
        execute(network, keras.ops.convert_to_tensor(images[start : start + BATCH]), visit)
        yield from found
        found.clear()


def float_outputs(call: Call, values: dict[Value, Any]) -> tuple[Any, ...]:
    """The outputs of a call without any quantization."""
    if isinstance(call.operation, Range):
        return (values[call.inputs[0]],)
    if isinstance(call.operation, Weighted):
        return call.apply(values, quantize=False)
    return call.apply(values)
