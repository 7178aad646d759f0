"""What a functional Keras network computes, as a list of calls in an order that can be executed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
from keras import tree

from tinyvision.errors import ModelError

IGNORED = ("training", "mask")
"""Arguments that Keras fills in by itself."""


@dataclass(frozen=True)
class Call:
    """``operation`` (a layer, or a function of ``keras.ops``) applied to ``arguments``, in which a
    ``Value`` stands for each tensor; defines ``outputs``.
    """

    operation: keras.Operation
    arguments: tuple[Any, ...]
    keywords: dict[str, Any]
    outputs: tuple[Value, ...]

    @property
    def inputs(self) -> tuple[Value, ...]:
        leaves = tree.flatten((self.arguments, self.keywords))
        return tuple(leaf for leaf in leaves if isinstance(leaf, Value))

    @property
    def output(self) -> Value:
        (value,) = self.outputs
        return value

    def apply(self, values: dict[Value, Any], **extra: Any) -> tuple[Any, ...]:
        """The outputs for ``values`` of the inputs (tensors, symbolic or not)."""
        arguments, keywords = tree.map_structure(
            lambda leaf: values[leaf] if isinstance(leaf, Value) else leaf,
            (self.arguments, self.keywords),
        )
        return tuple(tree.flatten(self.operation(*arguments, **keywords, **extra)))


@dataclass(frozen=True)
class Value:
    """A tensor of the network; ``shape`` has None for the batch."""

    number: int
    shape: tuple[int | None, ...]


@dataclass(frozen=True)
class Network:
    """``calls`` from ``source`` to ``results``; networks inside of the network are spread out."""

    name: str
    source: Value
    results: tuple[Value, ...]
    calls: tuple[Call, ...]

    def readers(self) -> Counter[Value]:
        """How often each value is read, by calls or as a result of the network."""
        return Counter(v for call in self.calls for v in call.inputs) + Counter(self.results)


def read(model: keras.Model) -> Network:
    """The calls of a functional model with one input. ModelError for any other."""
    if isinstance(model, keras.Sequential) and model.built:
        model = model._functional
    if not isinstance(model, keras.Model) or not hasattr(model, "operations"):
        raise ModelError("the network is no functional Keras model", getattr(model, "name", ""))
    if len(model.inputs) != 1:
        raise ModelError(f"the network has {len(model.inputs)} inputs, not one", model.name)
    recorder = _Recorder()
    copy = recorder.trace(model, None)
    return Network(
        model.name,
        recorder.value(copy.inputs[0]),
        tuple(recorder.value(tensor) for tensor in copy.outputs),
        tuple(recorder.calls),
    )


class _Recorder:
    """Replays a model on symbolic tensors and notes each call."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self._values: dict[int, Value] = {}
        self._alive: list[Any] = []  # an id belongs to one tensor as long as that lives

    def value(self, tensor: Any) -> Value:
        if id(tensor) not in self._values:
            self._alive.append(tensor)
            self._values[id(tensor)] = Value(len(self._values), tuple(tensor.shape))
        return self._values[id(tensor)]

    def trace(self, model: keras.Model, inputs: Any) -> keras.Model:
        return keras.models.clone_model(
            model,
            input_tensors=inputs,
            clone_function=lambda layer: layer,
            call_function=self.call,
        )

    def call(self, operation: Any, *arguments: Any, **keywords: Any) -> Any:
        if isinstance(operation, keras.Sequential):
            operation = operation._functional
        if isinstance(operation, keras.Model) and hasattr(operation, "operations"):
            (tensor,) = tree.flatten(arguments)
            structured = [tensor] if isinstance(operation.input, list) else tensor
            outputs = self.trace(operation, structured).outputs
            return outputs[0] if len(outputs) == 1 else outputs
        result = operation(*arguments, **keywords)
        keywords = {key: kept for key, kept in keywords.items() if key not in IGNORED}
        arguments, keywords = tree.map_structure(
            lambda leaf: self.value(leaf) if isinstance(leaf, keras.KerasTensor) else leaf,
            (arguments, keywords),
        )
        outputs = tuple(self.value(tensor) for tensor in tree.flatten(result))
        self.calls.append(Call(operation, arguments, keywords, outputs))
        return result


def execute(
    network: Network,
    source: Any,
    visit: Callable[[Call, dict[Value, Any]], Sequence[Any]] = Call.apply,
) -> tuple[Any, ...]:
    """The results of ``network`` for ``source`` (a tensor). ``visit`` gives the outputs of each
    call from the values of its inputs; values are let go when nothing reads them any more.
    """
    left, values = network.readers(), {network.source: source}
    for call in network.calls:
        values.update(zip(call.outputs, visit(call, values), strict=True))
        left.subtract(call.inputs)
        for value in call.inputs:
            if left[value] <= 0:
                values.pop(value, None)
    return tuple(values[value] for value in network.results)
