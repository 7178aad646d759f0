"""Holds two graphs equal in every bit of every output."""

from __future__ import annotations

import numpy as np

from tests.support.random_graphs import random_inputs
from tinyvision.ir import reference
from tinyvision.ir.graph import Graph
from tinyvision.ir.types import Array
from tinyvision.ir.verify import verify


def same(first: list[Array], second: list[Array]) -> bool:
    return all(
        a.dtype == b.dtype and a.shape == b.shape and np.array_equal(a, b, equal_nan=True)
        for a, b in zip(first, second, strict=True)
    )


def assert_same_bits(before: Graph, after: Graph, seed: int = 0, samples: int = 4) -> None:
    """``after`` is valid, has ``before``'s edges, and answers random inputs alike."""
    verify(after)
    assert after.inputs == before.inputs
    assert after.outputs == before.outputs
    rng = np.random.default_rng(seed)
    for _ in range(samples):
        inputs = random_inputs(before, rng)
        assert same(reference.run(before, inputs), reference.run(after, inputs))
