"""Quantization-aware networks: made from float ones, trained as any other, converted as learnt."""

from __future__ import annotations

import re
from typing import Any

import keras
import tensorflow as tf

from tinyvision.ir import Graph
from tinyvision.ir.types import Array
from tinyvision.train.quantization import corrections
from tinyvision.train.quantization.calibrate import METHODS, calibrate
from tinyvision.train.quantization.convert import int8_file
from tinyvision.train.quantization.graph import Call, Value, execute, read
from tinyvision.train.quantization.images import PIXELS, checked_images
from tinyvision.train.quantization.layers import Weighted
from tinyvision.train.quantization.rewrite import rewrite


def qat(
    model: keras.Model,
    images: Array,
    calibration: str = "minmax",
    input_range: tuple[float, float] | None = PIXELS,
    *,
    equalize: bool = False,
    bias_correction: bool = False,
    adaround: bool = False,
) -> keras.Model:
    """A network that computes as ``model`` quantized to int8, and can be trained.

    Its ranges start as ``calibration`` ("minmax", "percentile", "mse") finds them on ``images``
    (N, H, W, C) float32; ``input_range`` fixes the input's. Batch norm is folded into the weights
    with its moving statistics, for good: start from a trained network. The rest are the functions
    of ``corrections``, for networks that are not to be trained. Raises UserError for images that do
    not suit it, UnsupportedError for layers without an int8 form.
    """
    if calibration not in METHODS:
        raise ValueError(f"calibration is one of {', '.join(METHODS)}")
    images = checked_images(model, images, input_range)
    result = rewrite(model, input_range)
    if equalize:
        corrections.equalize(result)
    calibrate(result, images, calibration)
    if adaround:
        corrections.adaround(result, images)
    if bias_correction:
        corrections.correct_biases(result, images)
    return result


def convert(model: keras.Model) -> bytes:
    """The int8 ``.tflite`` of a network of ``qat``: its ranges, its weights on int8's steps.

    A tensor's name in the file begins with that of the ``Value`` (``value_scope``) in
    ``graph.read(model)`` which the operator defines.
    """
    network = read(model)
    constants = {
        call.operation: (
            layer.quantized(layer.weights_float()[0]).numpy(),
            layer.weights_float()[1],
        )
        for call in network.calls
        if isinstance(layer := call.operation, Weighted)
    }

    def visit(call: Call, values: dict[Value, Any]) -> tuple[Any, ...]:
        with tf.name_scope(value_scope(call.outputs[0])):
            layer = call.operation
            if isinstance(layer, Weighted):
                kernel, bias = (tf.constant(c, tf.float32) for c in constants[layer])
                return (layer.activate(layer.linear(values[call.inputs[0]], kernel) + bias),)
            return call.apply(values)

    return int8_file(lambda x: execute(network, x, visit), model.input_shape, model.name)


def value_scope(value: Value) -> str:
    return f"value{value.number}"


def tensors_by_value(graph: Graph) -> dict[int, str]:
    """For the graph of a converted file: number of a ``Value`` to the tensor that holds it, of
    those that operators define.
    """
    found = {}
    for op in graph.ops:
        match = re.match(r"value(\d+)[/_]", op.outputs[0])
        if match:
            found[int(match[1])] = op.outputs[0]
    return found
