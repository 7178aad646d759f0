"""The known answer that the firmware checks itself against: seeded input, CRC-32 of the outputs."""

from __future__ import annotations

import zlib
from dataclasses import replace

import numpy as np

from tinyvision.ir import reference
from tinyvision.ir.graph import Graph
from tinyvision.ir.types import Array

SEED = 0x2545F491


def xorshift_bytes(seed: int, count: int) -> tuple[bytes, int]:
    """``count`` bytes of the generator's upper eight bits, and the state after them (Marsaglia's
    xorshift32: 13, 17, 5).
    """
    state, out = seed, bytearray(count)
    for i in range(count):
        state ^= (state << 13) & 0xFFFFFFFF
        state ^= state >> 17
        state ^= (state << 5) & 0xFFFFFFFF
        out[i] = state >> 24
    return bytes(out), state


def self_test_inputs(graph: Graph, seed: int = SEED) -> list[Array]:
    """The in-memory input tensors that the seed stands for, in the order of ``graph.inputs``."""
    arrays: list[Array] = []
    for name in graph.inputs:
        tensor = graph.tensor(name)
        data, seed = xorshift_bytes(seed, tensor.size_bytes)
        arrays.append(np.frombuffer(data, tensor.dtype.numpy).reshape(tensor.shape))
    return arrays


def known_answer(graph: Graph) -> tuple[int, int]:
    """Seed of the self test, and the CRC-32 over all in-memory outputs by the oracle."""
    in_memory = replace(graph, interface={})
    crc = 0
    for output in reference.run(in_memory, self_test_inputs(graph)):
        crc = zlib.crc32(output.tobytes(), crc)
    return SEED, crc
