"""TensorFlow's converter, kept quiet and turned into our errors."""

from __future__ import annotations

import logging
import os
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import keras
import numpy as np
import tensorflow as tf
from tensorflow.lite.python.convert import ConverterError
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from tinyvision.errors import ModelError
from tinyvision.ir.types import Array

log = logging.getLogger(__name__)


def int8_file(model: keras.Model, representative: Callable[[], Iterator[list[Array]]]) -> bytes:
    """The int8 ``.tflite`` of a network with one input, for batches of one picture.

    ``representative`` yields inputs of shape (1, ...) by which the converter finds the ranges
    that the network itself does not state. ModelError where an operator has no int8 form.
    """
    shape = (1, *model.input_shape[1:])
    if len(model.inputs) != 1 or None in shape:
        raise ModelError(
            "the network must have one input of fixed height, width and channels",
            model.name,
            f"its input is {model.input_shape}",
        )
    call = tf.function(lambda x: model(x, training=False), autograph=False)
    function = call.get_concrete_function(tf.TensorSpec(shape, tf.float32, "image"))
    frozen = convert_variables_to_constants_v2(function)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([frozen])
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = representative
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    try:
        with _quiet():
            data: bytes = converter.convert()
    except (ConverterError, RuntimeError, ValueError) as error:
        reason = next((line for line in str(error).splitlines() if line.strip()), "")
        raise ModelError(
            "TensorFlow cannot convert the network to int8",
            model.name,
            reason,
            "Use layers that have an int8 form, such as those of the zoo.",
        ) from error
    return data


@contextmanager
def _quiet() -> Iterator[None]:
    """What the converter's C++ writes to file descriptor 2 goes to the log instead."""
    with tempfile.TemporaryFile() as sink:
        saved = os.dup(2)
        os.dup2(sink.fileno(), 2)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                yield
        finally:
            os.dup2(saved, 2)
            os.close(saved)
            sink.seek(0)
            log.debug("%s", sink.read().decode(errors="replace"))


def batches_of_one(images: Array) -> Callable[[], Iterator[list[Array]]]:
    """``images`` (N, ...) one at a time, as ``int8_file`` takes them."""
    return lambda: ([np.ascontiguousarray(image[None])] for image in images)
