"""The oracle against tflite-runtime's reference kernels, operator by operator."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.one_op import assert_equals_tflite, random_inputs
from tests.support.op_strategies import SEEDS, STRATEGIES, requantize_unsigned
from tinyvision.ir import ops
from tinyvision.ir.verify import verify


def _all_values(graph, inputs):
    """Unary operators see every value of their input, not a sample."""
    for array in inputs:
        if array.dtype.kind != "f" and array.size >= 256:
            info = np.iinfo(array.dtype)
            array.flat[:256] = np.arange(info.min, info.max + 1)
    return inputs


@pytest.mark.parametrize("kind", STRATEGIES)
@settings(max_examples=120)
@given(data=st.data())
def test_operator_equals_tflite(kind, data):
    graph = data.draw(STRATEGIES[kind])
    verify(graph)
    inputs = random_inputs(graph, np.random.default_rng(data.draw(SEEDS)))
    assert_equals_tflite(graph, _all_values(graph, inputs))


@given(graph=requantize_unsigned(), seed=SEEDS)
def test_requantize_between_signed_and_unsigned(graph, seed):
    inputs = random_inputs(graph, np.random.default_rng(seed))
    assert_equals_tflite(graph, _all_values(graph, inputs))


def test_every_operator_is_tested():
    kinds = {c.__name__ for c in ops.Op.__subclasses__() if c.__module__ == ops.__name__}
    assert kinds - {"Lookup"} == set(STRATEGIES)  # no file holds a Lookup; see test_reference_run
