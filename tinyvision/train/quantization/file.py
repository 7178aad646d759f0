"""``tinyvision quantize``: a ``.keras`` file and pictures by name to an int8 ``.tflite``."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tinyvision.errors import ModelError, UnsupportedError, UserError
from tinyvision.ir.types import Array
from tinyvision.preprocess import Preprocess, real_values
from tinyvision.train.data import open_source
from tinyvision.train.quantization.images import checked_images
from tinyvision.train.quantization.layers import Range
from tinyvision.train.quantization.ptq import ptq
from tinyvision.train.quantization.qat import convert, qat
from tinyvision.train.quantization.report import layer_reports

REPORT_IMAGES = 8
"""Of the calibration images, how many a report runs through the integer oracle."""


@dataclass(frozen=True)
class Quantized:
    """``data``: the ``.tflite``; ``layers``: rows of the report, where one was wanted."""

    data: bytes
    layers: list[dict[str, Any]] | None


def quantize_file(
    path: Path,
    data: str,
    samples: int = 256,
    calibration: str = "minmax",
    equalize: bool = False,
    bias_correction: bool = False,
    adaround: bool = False,
    report: bool = False,
) -> Quantized:
    """Quantizes a network that takes pixels as (p - 128) / 128. A quantization-aware one is
    converted as it has learnt. UserError where the file or the data are not usable.
    """
    model = load(path)
    images = calibration_images(data, tuple(model.input_shape[1:]), samples)
    corrected = equalize or bias_correction or adaround
    if any(isinstance(layer, Range) for layer in model.layers):
        if corrected:
            raise UserError("the network is quantization-aware: its weights are learnt", str(path))
        exact = aware = model
        images = checked_images(model, images, None)
    else:
        try:
            exact = qat(model, images, calibration, equalize=equalize)
            aware = qat(
                model,
                images,
                calibration,
                equalize=equalize,
                bias_correction=bias_correction,
                adaround=adaround,
            )
        except UnsupportedError:
            if report or corrected:
                raise
            return Quantized(ptq(model, images, calibration), None)
    file = convert(aware)
    if not report:
        return Quantized(file, None)
    rows = layer_reports(exact, aware, file, images[:REPORT_IMAGES])
    return Quantized(file, [row.to_json() for row in rows])


def load(path: Path) -> keras.Model:
    """The network of a ``.keras`` file; ModelError where there is none."""
    if not path.is_file():
        raise ModelError("there is no such file", str(path))
    try:
        return keras.models.load_model(path, compile=False)
    except (OSError, ValueError, TypeError, KeyError, zipfile.BadZipFile) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelError("the network cannot be read", str(path), reason) from error


def calibration_images(data: str, shape: tuple[int, ...], count: int, seed: int = 0) -> Array:
    """Up to ``count`` pictures (N, *shape) in [-1, 1), drawn from the training part of ``data``: a
    source of ``train.data``, or a ``.npz`` whose ``images`` (or ``inputs``) are uint8 pixels,
    int8 pixels less 128, or float32 as the network takes them.
    """
    rng = np.random.default_rng(seed)
    if data.endswith(".npz"):
        pixels = _from_npz(Path(data))
        return np.asarray(pixels[rng.permutation(len(pixels))[:count]])
    if len(shape) != 3:
        raise UserError("the network takes no pictures", data, f"its input is {shape}")
    prepare = Preprocess(*shape)
    source = open_source(data, prepare)
    frames, problem = source.parts["train"].frames, ""
    found: list[Array] = []
    for index in rng.permutation(len(frames)):
        if len(found) == count:
            break
        try:
            found.append(prepare(frames[int(index)]))
        except UserError as error:
            problem = str(error)
    if not found:
        raise UserError("no picture can be read", data, problem)
    return real_values(np.stack(found))


def _from_npz(path: Path) -> Array:
    try:
        with np.load(path, allow_pickle=False) as file:
            key = next((key for key in ("images", "inputs") if key in file.files), None)
            array = None if key is None else np.asarray(file[key])
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise UserError("the file holds no arrays that can be read", str(path)) from error
    if array is None or array.dtype not in (np.uint8, np.int8, np.float32):
        why = "it needs 'images' of uint8, int8 or float32"
        raise UserError("the file holds no pictures", str(path), why)
    if array.dtype == np.uint8:
        return real_values(array)
    return array.astype(np.float32) / 128 if array.dtype == np.int8 else array
