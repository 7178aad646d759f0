"""What a model must answer: TensorFlow Lite's reference kernels, or our statement of them."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from typing import Protocol

from tinyvision.ir import reference
from tinyvision.ir.graph import Graph
from tinyvision.ir.types import Array

log = logging.getLogger(__name__)


class Oracle(Protocol):
    """Gives the outputs for inputs, both in their external element types."""

    name: str

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        """One inference."""


class ReferenceOracle:
    """``ir.reference`` on the graph as imported."""

    name = "ir.reference"

    def __init__(self, graph: Graph) -> None:
        self._graph = graph

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        return reference.run(self._graph, list(inputs))


class TfliteOracle:
    """tflite-runtime's reference kernels on the model file itself. ImportError where it is not
    installed, and in a process that has loaded TensorFlow, which it crashes beside; other releases
    round differently and are not used.
    """

    name = "tflite-runtime BUILTIN_REF"

    def __init__(self, model: bytes) -> None:
        if "tensorflow" in sys.modules:
            raise ImportError("TensorFlow is loaded in this process")
        from tflite_runtime.interpreter import Interpreter, OpResolverType

        self._interpreter = Interpreter(
            model_content=model, experimental_op_resolver_type=OpResolverType.BUILTIN_REF
        )
        self._interpreter.allocate_tensors()
        self._inputs = [d["index"] for d in self._interpreter.get_input_details()]
        self._outputs = [d["index"] for d in self._interpreter.get_output_details()]

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        for index, array in zip(self._inputs, inputs, strict=True):
            self._interpreter.set_tensor(index, array)
        self._interpreter.invoke()
        return [self._interpreter.get_tensor(index) for index in self._outputs]


def oracle_for(graph: Graph, model: bytes | None) -> Oracle:
    """The best there is here for the imported ``graph`` and its model file's bytes."""
    if model is not None:
        try:
            return TfliteOracle(model)
        except (ImportError, ValueError, RuntimeError) as error:
            log.info("no tflite-runtime (%s): comparing with ir.reference", error)
    return ReferenceOracle(graph)
