"""Classifies pictures on a target."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tinyvision.device.target import Target
from tinyvision.device.verify import infer
from tinyvision.errors import UserError
from tinyvision.ir.graph import Graph
from tinyvision.ir.types import Array, DType
from tinyvision.pictures import load_picture
from tinyvision.preprocess import Preprocess, pixel_values

_PROBABILITY = (1 / 256, -128)
"""Scale and zero point that TFLite prescribes for the outputs of SOFTMAX and LOGISTIC."""


def to_input(graph: Graph, picture: Array) -> Array:
    """A picture as the model's input takes it: in its external element type, batch of 1."""
    name = graph.inputs[0]
    tensor, external = graph.tensor(name), graph.external_dtype(name)
    steps = (
        pixel_values(tensor.scale, tensor.zero_point)[picture]
        .astype(np.int16)
        .reshape(tensor.shape)
    )
    if external is DType.FLOAT32:
        return (np.float32(tensor.scale) * (steps - tensor.zero_point)).astype(np.float32)
    offset = 128 if external is DType.UINT8 else 0
    values: Array = (steps + offset).astype(external.numpy)
    return values


def scores(graph: Graph, output: Array) -> Array:
    """Real values of the first output: probabilities as they are, anything else by softmax."""
    name = graph.outputs[0]
    tensor, external = graph.tensor(name), graph.external_dtype(name)
    real = output.reshape(-1).astype(np.float64)
    if external is not DType.FLOAT32:
        offset = 128 if external is DType.UINT8 else 0
        real = (real - offset - tensor.zero_point) * tensor.scale
    if tensor.quant is not None and (tensor.scale, tensor.zero_point) == _PROBABILITY:
        return real
    powers = np.exp(real - real.max())
    normalised: Array = powers / powers.sum()
    return normalised


def classify(
    graph: Graph, target: Target, pictures: Sequence[Path], top: int = 3
) -> list[dict[str, Any]]:
    """For each picture its file and the ``top`` classes with label and score, best first.
    ``graph`` is the model after the passes.
    """
    shape = graph.tensor(graph.inputs[0]).shape
    if len(graph.inputs) != 1 or len(shape) != 4 or shape[0] != 1 or shape[3] not in (1, 3):
        raise UserError(
            "the model takes no pictures",
            graph.name,
            f"its inputs have the shapes {[graph.tensor(n).shape for n in graph.inputs]}",
        )
    preprocess = Preprocess(*shape[1:], fit=graph.fit)
    inputs = [to_input(graph, load_picture(path, preprocess)) for path in pictures]
    results = []
    for path, values in zip(pictures, inputs, strict=True):
        ranked = scores(graph, infer(target, [values])[0])
        best = np.argsort(-ranked, kind="stable")[:top]
        results.append(
            {
                "image": str(path),
                "classes": [
                    {
                        "index": int(index),
                        "label": _label(graph, int(index)),
                        "score": float(ranked[index]),
                    }
                    for index in best
                ],
            }
        )
    return results


def _label(graph: Graph, index: int) -> str:
    return graph.labels[index] if index < len(graph.labels) else f"class {index}"
