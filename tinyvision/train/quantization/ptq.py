"""Post-training quantization: a float network and some pictures give an int8 ``.tflite``."""

from __future__ import annotations

import logging

import keras
import numpy as np

from tinyvision.errors import ModelError
from tinyvision.ir.types import Array
from tinyvision.train.quantization.convert import int8_file
from tinyvision.train.quantization.images import PIXELS, checked_images
from tinyvision.train.quantization.qat import convert, qat

log = logging.getLogger(__name__)


def ptq(
    model: keras.Model,
    images: Array,
    calibration: str = "minmax",
    input_range: tuple[float, float] | None = PIXELS,
    **corrections: bool,
) -> bytes:
    """The int8 ``.tflite`` of ``model``, with ranges from ``images`` (N, H, W, C) float32.

    Weights are quantized by output channel, input and output are int8. ``calibration`` and
    ``corrections``: as ``qat`` takes them. ``input_range`` fixes the input's quantization, by
    default such that int8 = pixel - 128; None takes the range of ``images``. UserError for images
    that do not suit the network or lie outside of that range. A network with layers that ``qat``
    does not know, or ranges that the converter refuses, is left to TensorFlow's own calibration by
    minimum and maximum.
    """
    try:
        return convert(qat(model, images, calibration, input_range, **corrections))
    except ModelError as error:
        if calibration != "minmax" or any(corrections.values()):
            raise
        log.warning("%s; TensorFlow calibrates instead", error)
        return _by_tensorflow(model, images, input_range)


def _by_tensorflow(
    model: keras.Model, images: Array, input_range: tuple[float, float] | None
) -> bytes:
    images = checked_images(model, images, input_range)
    if input_range is not None:  # the converter takes ranges from what it sees: let it see them
        images = images.copy()
        images[0].flat[[0, -1]] = input_range
    return int8_file(
        lambda x: model(x, training=False),
        model.input_shape,
        model.name,
        lambda: ([np.ascontiguousarray(image[None])] for image in images),
    )
