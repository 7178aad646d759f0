"""Lookup on the host."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.kernel_check import check_graphs
from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import Lookup
from tinyvision.ir.types import DType, QuantParams, Tensor


def lookup_graph(shape: tuple[int, ...], dtype: DType, seed: int) -> Graph:
    rng = np.random.default_rng(seed)
    info = np.iinfo(dtype.numpy)
    table = rng.integers(info.min, info.max, 256, dtype.numpy, endpoint=True)
    quant = QuantParams((0.5,), (3,))
    tensors = (
        Tensor("x", shape, dtype, quant),
        Tensor("table", (256,), dtype, None, table),
        Tensor("y", shape, dtype, quant),
    )
    op = Lookup(name="lookup", inputs=("x", "table"), outputs=("y",))
    return Graph("lookup", {t.name: t for t in tensors}, (op,), ("x",), ("y",))


@pytest.mark.parametrize("core", ["cortex-m0plus", "cortex-m4"])
def test_every_element_type_and_odd_sizes(core: str) -> None:
    shapes = [(1, 1), (1, 3, 5, 7), (2, 33), (1000,)]
    graphs = [
        lookup_graph(shape, dtype, seed)
        for seed, shape in enumerate(shapes)
        for dtype in (DType.INT8, DType.UINT8)
    ]
    check_graphs(graphs, core)
