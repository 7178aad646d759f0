"""Pictures to calibrate with."""

from __future__ import annotations

import keras
import numpy as np

from tinyvision.errors import UserError
from tinyvision.ir.types import Array

PIXELS = (-1.0, 127 / 128)
"""The input's range where a pixel is ``(p - 128) / 128``: scale 1/128, zero point 0."""


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
