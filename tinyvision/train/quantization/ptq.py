"""Post-training quantization: a float network and some pictures give an int8 ``.tflite``."""

from __future__ import annotations

import keras
import numpy as np

from tinyvision.errors import UserError
from tinyvision.ir.types import Array
from tinyvision.train.quantization.convert import batches_of_one, int8_file

PIXELS = (-1.0, 127 / 128)
"""The input's range where a pixel is ``(p - 128) / 128``: scale 1/128, zero point 0."""


def ptq(
    model: keras.Model, images: Array, input_range: tuple[float, float] | None = PIXELS
) -> bytes:
    """The int8 ``.tflite`` of ``model``, with ranges from ``images`` (N, H, W, C) float32.

    Weights are quantized by output channel, input and output are int8. ``input_range`` fixes the
    input's quantization, by default such that int8 = pixel - 128; None takes the range of
    ``images``. UserError for images that do not suit the network or lie outside of that range.
    """
    images = checked_images(model, images, input_range)
    if input_range is not None:  # the converter takes ranges from what it sees: let it see them
        images = images.copy()
        images[0].flat[[0, -1]] = input_range
    return int8_file(model, batches_of_one(images))


def checked_images(
    model: keras.Model, images: Array, input_range: tuple[float, float] | None
) -> Array:
    """``images`` as float32; UserError where they are no calibration set for ``model``."""
    images = np.asarray(images, np.float32)
    if images.shape[1:] != tuple(model.input_shape[1:]) or not len(images):
        raise UserError(
            "the calibration images do not suit the network",
            model.name,
            f"they are {images.shape}, its input is N x {tuple(model.input_shape[1:])}",
        )
    low, high = float(images.min()), float(images.max())
    if not np.isfinite((low, high)).all():
        raise UserError("the calibration images hold values that are not finite", model.name)
    if input_range is not None and (low < input_range[0] or high > input_range[1]):
        raise UserError(
            "the calibration images lie outside of the input's range",
            model.name,
            f"{low:g} to {high:g} is not within {input_range[0]:g} to {input_range[1]:g}",
            "Scale pixels as (p - 128) / 128, or name the range.",
        )
    return images
