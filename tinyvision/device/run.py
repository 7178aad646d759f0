"""Classifies pictures on a target."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from tinyvision.device.target import Target
from tinyvision.device.verify import infer
from tinyvision.errors import UserError
from tinyvision.ir.graph import Graph
from tinyvision.ir.types import Array, DType, Tensor

MAX_PIXELS = 1 << 26
MAX_FILE_BYTES = 1 << 28
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
_PROBABILITY = (1 / 256, -128)
"""Scale and zero point that TFLite prescribes for the outputs of SOFTMAX and LOGISTIC."""


def load_picture(path: Path, width: int, height: int, channels: int) -> Array:
    """``uint8[height, width, channels]``: upright, stretched (bilinear), grey where ``channels``
    is 1.

    UserError for what is no picture, or too large a one.
    """
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise UserError("the picture is too large", str(path), f"over {MAX_FILE_BYTES:,} bytes")
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=FORMATS) as picture:
                if picture.width * picture.height > MAX_PIXELS:
                    raise UserError(
                        "the picture is too large",
                        str(path),
                        f"{picture.width} x {picture.height} pixels",
                    )
                upright = _eight_bit(ImageOps.exif_transpose(picture))
                upright = upright.convert("L" if channels == 1 else "RGB")
    except FileNotFoundError:
        raise UserError("there is no such picture", str(path)) from None
    except (
        OSError,
        ValueError,
        SyntaxError,
        UnidentifiedImageError,
        Image.DecompressionBombError,
        Image.DecompressionBombWarning,
    ) as error:
        raise UserError("the picture cannot be read", str(path), str(error)) from error
    resized = upright.resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(resized, np.uint8).reshape(height, width, channels)


def _eight_bit(picture: Image.Image) -> Image.Image:
    """A picture of 16 bits a pixel scaled to 8; Pillow would cut it off at 255."""
    if not picture.mode.startswith("I"):
        return picture
    return Image.fromarray((np.asarray(picture, np.int64) >> 8).clip(0, 255).astype(np.uint8))


def pixel_range(tensor: Tensor) -> tuple[float, float]:
    """The real values that pixels 0 and 255 have for an input, from what it can represent: 0 to
    255, 0 to 1, -1 to 1, or all of its range for models normalised in another way.
    """
    low, high = (tensor.scale * (limit - tensor.zero_point) for limit in (-128, 127))
    if high > 100:
        return 0.0, 255.0
    if low > -0.1:
        return 0.0, 1.0
    if high < 1.2:
        return -1.0, 1.0
    return low, high


def to_input(graph: Graph, picture: Array) -> Array:
    """A picture as the model's input takes it: in its external element type, batch of 1."""
    name = graph.inputs[0]
    tensor, external = graph.tensor(name), graph.external_dtype(name)
    black, white = pixel_range(tensor)
    real = black + picture.astype(np.float64) / 255 * (white - black)
    if external is DType.FLOAT32:
        return real.astype(np.float32).reshape(tensor.shape)
    steps = np.clip(np.round(real / tensor.scale) + tensor.zero_point, -128, 127)
    offset = 128 if external is DType.UINT8 else 0
    values: Array = (steps + offset).astype(external.numpy).reshape(tensor.shape)
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
    inputs = [to_input(graph, load_picture(p, shape[2], shape[1], shape[3])) for p in pictures]
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
