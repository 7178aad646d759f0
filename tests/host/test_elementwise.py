"""Add, Sub, Mul, Minimum, Maximum, Prelu, Quantize and Dequantize on the host."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from tests.support.family_check import check_kind
from tests.support.graph_builder import GraphBuilder
from tests.support.kernel_check import check_graphs
from tinyvision.ir import ops
from tinyvision.ir.graph import Graph

BY_WORDS, BY_BYTES = "host", "cortex-m0plus"
ALL = np.arange(-128, 128, dtype=np.int8)


@pytest.mark.parametrize("kind", ["Add", "Sub", "Mul", "Minimum", "Maximum", "Prelu"])
def test_equals_the_oracle_in_every_placement(kind: str) -> None:
    check_kind(kind)


@pytest.mark.parametrize("kind", ["Add", "Mul"])
def test_cores_that_load_words_from_aligned_addresses_only(kind: str) -> None:
    check_kind(kind, core=BY_BYTES, count=20)


@pytest.mark.parametrize("kind", ["Quantize", "Dequantize"])
def test_conversion_equals_the_oracle_in_every_placement(kind: str) -> None:
    check_kind(kind, count=20)


def against_all(kind: type[ops.Op], scales: tuple[float, float, float], zero: int) -> Graph:
    """Every value of b, at random values of a."""
    builder = GraphBuilder()
    a = builder.input((8, 256), (scales[0], zero))
    b = builder.constant(ALL, (scales[1], -zero))
    return builder.build(builder.op(kind, a, b, quant=(scales[2], zero)))


@pytest.mark.parametrize("kind", [ops.Add, ops.Sub])
def test_sums_of_scales_far_apart(kind: type[ops.Op]) -> None:
    scales = [(0.5, 0.5, 1e-5), (1e-9, 1.0, 1.0), (1.0, 1e-4, 0.01), (1e-6, 1e-6, 1e3), (1, 1, 2)]
    check_graphs(
        [against_all(kind, s, zero) for s, zero in product(scales, (-128, 0, 127))], "host"
    )


@pytest.mark.parametrize("kind", [ops.Mul, ops.Prelu])
def test_products_of_scales_far_apart(kind: type[ops.Op]) -> None:
    """Among them factors so large that the shift to the left wraps, as in the reference."""
    scales = [(1, 1, 2), (1, 1, 1), (1, 0.5, 1e-3), (10, 10, 1e-4), (1e-5, 1e-5, 10), (3, 2, 8e-9)]
    check_graphs(
        [against_all(kind, s, zero) for s, zero in product(scales, (-128, 0, 127))], "host"
    )
