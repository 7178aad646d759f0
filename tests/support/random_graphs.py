"""Small random graphs of every operator, for tests that hold two executions of one graph equal.

``random_graph(rng)`` is deterministic in the generator it is given; ``graphs()`` is the same as a
hypothesis strategy, and ``random_inputs`` feeds them. What real networks do and what breaks
compilers is likely: residual connections, dead weight rows, saturated and constant channels, odd
sizes, strides, dilations and paddings, extreme zero points and scales, several inputs and outputs,
tensors that nobody reads.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from hypothesis import strategies as st

from tests.support.random_layers import Layers
from tinyvision.ir import ops
from tinyvision.ir.derive import dtype_clamp
from tinyvision.ir.graph import Graph
from tinyvision.ir.types import Array, DType
from tinyvision.ir.verify import verify

MAX_ELEMENTS = 1500
_ZERO_POINTS = (-128, 127, 0, -1, 5, -77)


def random_graph(rng: np.random.Generator, max_ops: int = 10, in_file: bool = False) -> Graph:
    """A valid graph of about ``max_ops`` operators at most, with at least one.

    ``in_file`` restricts it to what a ``.tflite`` file can state: SAME and VALID padding, the
    fused activations' clamps, ungrouped convolutions, no Lookup.
    """
    graph = _Generator(rng, max_ops, in_file).graph()
    verify(graph)
    return graph


def graphs(max_ops: int = 10, in_file: bool = False) -> st.SearchStrategy[Graph]:
    """Random graphs; hypothesis shrinks the number of operators, not what they are."""
    return st.builds(
        lambda count, seed: random_graph(np.random.default_rng(seed), count, in_file),
        st.integers(1, max_ops),
        st.integers(0, 2**32 - 1),
    )


def random_inputs(graph: Graph, rng: np.random.Generator) -> list[Array]:
    """One array for each input in its external type: noise, extremes, or the zero point."""
    return [_random_input(graph, name, rng) for name in graph.inputs]


def _random_input(graph: Graph, name: str, rng: np.random.Generator) -> Array:
    tensor, external = graph.tensor(name), graph.external_dtype(name)
    if external is DType.FLOAT32:
        spread = tensor.scale * 200 if tensor.quant else 5.0
        reals = rng.uniform(-spread, spread, tensor.shape).astype(np.float32)
        if rng.random() < 0.3:
            odd = np.array([0.0, -0.0, 1e6, -1e6], np.float32)
            reals.flat[:: max(1, reals.size // 4)] = rng.choice(odd)
        return reals
    low, high = dtype_clamp(external)
    style = rng.random()
    if style < 0.2:
        values = np.full(tensor.shape, rng.choice([low, high]))
    elif style < 0.4:
        values = rng.choice([low, high], tensor.shape)
    else:
        values = rng.integers(low, high + 1, tensor.shape)
    return values.astype(external.numpy)


class _Generator(Layers):
    """Grows a graph operator by operator from tensors it has made before."""

    def __init__(self, rng: np.random.Generator, max_ops: int, in_file: bool) -> None:
        super().__init__(rng, in_file)
        self.max_ops = max_ops
        self.interface: dict[str, DType] = {}
        self.adders: tuple[tuple[int, Callable[[str], str | list[str] | None]], ...] = (
            (6, self.conv2d),
            (5, self.depthwise),
            (2, self.transpose_conv),
            (3, self.fully_connected),
            (5, self.binary),
            (2, self.extremum),
            (1, self.matmul),
            (2, self.pad),
            (3, self.pool2d),
            (2, self.mean),
            (1, self.softmax),
            (4, self.function),
            (1, self.lookup),
            (1, self.prelu),
            (3, self.requantize),
            (2, self.reshape),
            (1, self.transpose),
            (3, self.concatenation),
            (2, self.split),
            (2, self.slice),
            (2, self.resize),
            (4, self.residual),
            (3, self.padded_conv),
            (3, self.activated_conv),
            (1, self.gated),
        )

    def graph(self) -> Graph:
        for _ in range(1 if self.chance(0.8) else 2):
            self.add_input()
        target = len(self.b.ops) + self.max_ops
        while len(self.b.ops) < target:
            weights = np.array([weight for weight, _ in self.adders], float)
            chosen = self.rng.choice(len(self.adders), p=weights / weights.sum())
            recent = self.pool[-self.choice((1, 1, 3)) :] if self.chance(0.8) else self.pool
            self.keep(self.adders[chosen][1](self.choice(recent)))
        return self.b.build(*self.choose_outputs(), interface=self.interface)

    def keep(self, made: str | list[str] | None) -> None:
        if made is not None:
            self.pool += [made] if isinstance(made, str) else made

    def add_input(self) -> None:
        rank4 = self.chance(0.85)
        channels = self.choice((1, 2, 3, 4, 5, 8))
        shape = (
            (1 if self.chance(0.9) else 2, self.integer(1, 9), self.integer(1, 9), channels)
            if rank4
            else (1, self.integer(1, 40))
        )
        style = self.rng.random()
        quant = self.quant()
        if style < 0.65:
            name = self.b.input(shape, quant)
        elif style < 0.8:
            name = self.b.op(ops.Quantize, self.b.input(shape, None, DType.FLOAT32), quant=quant)
        elif style < 0.9:
            unsigned = self.b.input(shape, (quant[0], quant[1] + 128), DType.UINT8)
            other = quant if self.chance(0.6) else self.quant()
            name = self.b.op(ops.Requantize, unsigned, quant=other)
        elif self.in_file:
            name = self.b.input(shape, quant)
        else:
            name = self.b.input(shape, quant)
            self.interface[name] = self.choice((DType.FLOAT32, DType.UINT8))
        self.pool.append(name)

    def choose_outputs(self) -> list[str]:
        """Some of the tensors that nobody reads, now and then one that is read; some converted."""
        consumers = self.b.build(self.b.ops[-1].outputs[0]).consumers()
        computed = [name for op in self.b.ops for name in op.outputs]
        leaves = [name for name in computed if not consumers[name]]
        chosen = leaves[-self.integer(1, 4) :]
        if self.chance(0.15):
            chosen = list(dict.fromkeys([*chosen, self.choice(computed)]))
        return [self.finish(name) for name in chosen]

    def finish(self, name: str) -> str:
        style = self.rng.random()
        tensor = self.b.tensors[name]
        if tensor.dtype is not DType.INT8 or style < 0.65:
            return name
        if style < 0.8:
            return self.b.op(ops.Dequantize, name, dtype=DType.FLOAT32)
        if style < 0.9:
            scale, zero_point = self.b.quant(name)
            return self.b.op(
                ops.Requantize,
                name,
                quant=(scale, zero_point + 128),
                dtype=DType.UINT8,
                clamp=(0, 255),
            )
        if name not in self.b.inputs and not self.in_file:
            self.interface[name] = self.choice((DType.FLOAT32, DType.UINT8))
        return name
