"""Compares a quantization-aware network with its converted file, layer by layer."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from tinyvision import importer
from tinyvision.ir import reference
from tinyvision.train.quantization.graph import Call, Value, execute, read
from tinyvision.train.quantization.layers import Range
from tinyvision.train.quantization.qat import tensors_by_value


def differences(model: keras.Model, data: bytes, images: np.ndarray) -> dict[str, int]:
    """For each layer the greatest difference, in steps, between what the network simulates and what
    ``ir.reference`` computes, both from the tensors that the reference has computed before.
    """
    graph, network = importer.from_bytes(data), read(model)
    names, found = tensors_by_value(graph), {}
    producers = {v: call.operation.name for call in network.calls for v in call.outputs}
    for image in images:
        tensors = reference.run_all(graph, [np.round(image[None] * 128).astype(np.int8)])

        def visit(call: Call, values: dict[Value, Any], tensors=tensors) -> tuple[Any, ...]:
            outputs = call.apply(values)
            name = names.get(call.inputs[0].number)
            if not isinstance(call.operation, Range) or name is None:
                return outputs
            (output,) = outputs
            tensor = graph.tensor(name)
            scale, zero_point = call.operation.quantization()
            assert np.isclose(scale, tensor.scale, rtol=1e-6) and zero_point == tensor.zero_point
            steps = np.round(np.asarray(output) / scale) + zero_point
            wanted = tensors[name].astype(int)
            worst = int(np.abs(steps - wanted.reshape(steps.shape)).max())
            layer = producers[call.inputs[0]]
            found[layer] = max(found.get(layer, 0), worst)
            real = ((wanted - zero_point) * scale).reshape(output.shape)
            return (keras.ops.convert_to_tensor(real, "float32"),)

        execute(network, keras.ops.convert_to_tensor(image[None]), visit)
    return found
