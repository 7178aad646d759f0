"""Where int8 departs from float, layer by layer, and what to do about it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import keras
import numpy as np

from tinyvision import importer
from tinyvision.ir import reference
from tinyvision.ir.types import Array
from tinyvision.train.quantization.calibrate import float_outputs
from tinyvision.train.quantization.graph import Call, Network, Value, execute, read
from tinyvision.train.quantization.layers import STEPS, Range, Weighted
from tinyvision.train.quantization.qat import tensors_by_value

GOOD_DB = 25.0
"""Signal to quantization noise from which on a layer is seldom what costs accuracy."""
CLIPPED = 0.01
UNEVEN = 8.0


@dataclass(frozen=True)
class LayerReport:
    """``sqnr_db``: power of the float layer over that of the difference to the int8 layer, as the
    whole network computes both; ``own_sqnr_db``: the same where this layer alone is quantized.
    ``low`` to ``high`` is the int8 tensor's range; ``saturation`` the share of the float values
    outside of it; ``imbalance``: how many times further the furthest channel reaches than the
    median one. ``advice`` is empty where all is well.
    """

    name: str
    tensor: str
    sqnr_db: float
    own_sqnr_db: float
    low: float
    high: float
    saturation: float
    imbalance: float
    advice: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def layer_reports(
    exact: keras.Model, model: keras.Model, data: bytes, images: Array
) -> list[LayerReport]:
    """A row for each int8 tensor that an operator of ``data`` computes, in order.

    ``model`` is the network of ``qat`` that ``data`` was converted from, ``exact`` the same before
    its weights were corrected or trained: its float values are the measure. ``images`` (N, ...)
    are few, since ``ir.reference`` computes the int8 ones.
    """
    graph = importer.from_bytes(data)
    names = tensors_by_value(graph)
    source = graph.tensor(graph.inputs[0])
    steps = np.clip(np.round(images / source.scale) + source.zero_point, -128, 127)
    runs = [reference.run_all(graph, [one[None].astype(np.int8)]) for one in steps]
    rows = []
    measured = _float_and_alone(read(exact), read(model), set(names), images)
    for number, name, layer, floats, own in measured:
        tensor = graph.tensor(names[number])
        stack = np.stack([run[tensor.name] for run in runs]).reshape(floats.shape)
        real = (stack.astype(np.float64) - tensor.zero_point) * tensor.scale
        low, high = layer.limits()
        half = (high - low) / STEPS / 2
        outside = float(np.mean((floats < low - half) | (floats > high + half)))
        noise, alone, uneven = sqnr_db(floats, real), sqnr_db(floats, own), _imbalance(floats)
        advice = _advice(noise, alone, outside, uneven)
        rows.append(
            LayerReport(name, tensor.name, noise, alone, low, high, outside, uneven, advice)
        )
    return rows


def _float_and_alone(
    exact: Network, model: Network, numbers: set[int], images: Array
) -> list[tuple[int, str, Range, Array, Array]]:
    """For each value of ``numbers`` its layer's name, its range, what the float network computes,
    and what it would if that layer alone were quantized.
    """
    quantized = {call.outputs[0].number: call.operation for call in model.calls}
    producers = {v: call for call in exact.calls for v in call.outputs}
    found = []
    alone: dict[Value, Any] = {}

    def visit(call: Call, values: dict[Value, Any]) -> tuple[Any, ...]:
        outputs = float_outputs(call, values)
        value = call.inputs[0]
        if isinstance(call.operation, Weighted):
            alone[call.output] = quantized[call.output.number](values[value])
        if isinstance(call.operation, Range) and value.number in numbers:
            layer = quantized[call.output.number]
            own = layer(alone.pop(value, values[value]))
            name = producers[value].operation.name
            found.append((value.number, name, layer, np.asarray(values[value]), np.asarray(own)))
        return outputs

    execute(exact, keras.ops.convert_to_tensor(images), visit)
    return found


def sqnr_db(exact: Array, approximate: Array) -> float:
    """Signal to quantization noise ratio, at most 99."""
    signal = float(np.mean(np.square(exact, dtype=np.float64)))
    noise = float(np.mean(np.square(exact - approximate, dtype=np.float64)))
    if noise == 0 or signal == 0:
        return 99.0 if noise == 0 else 0.0
    return round(min(99.0, float(10 * np.log10(signal / noise))), 2)


def _imbalance(values: Array) -> float:
    reach = np.abs(values).reshape(-1, values.shape[-1]).max(axis=0)
    return round(float(reach.max() / max(np.median(reach), 1e-12)), 2)


def _advice(noise: float, alone: float, outside: float, uneven: float) -> str:
    if noise >= GOOD_DB:
        return ""
    if outside > CLIPPED:
        return f"{outside:.1%} of the values are cut off: --calibration minmax, or training (qat)"
    if alone >= GOOD_DB:
        return "the noise comes from layers before: mend those"
    if uneven > UNEVEN:
        return f"one channel reaches {uneven:.0f} times the median: --equalize, or training (qat)"
    return "few steps for its values: --calibration mse, --adaround, or training (qat)"
