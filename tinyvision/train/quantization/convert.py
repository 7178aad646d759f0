"""TensorFlow's converter, kept quiet and turned into our errors."""

from __future__ import annotations

import logging
import os
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import tensorflow as tf
from tensorflow.lite.python.convert import ConverterError
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from tinyvision.errors import ModelError
from tinyvision.ir.types import Array

log = logging.getLogger(__name__)


def int8_file(
    function: Callable[[tf.Tensor], Any],
    shape: Sequence[int | None],
    name: str,
    representative: Callable[[], Iterator[list[Array]]] | None = None,
) -> bytes:
    """The int8 ``.tflite`` of a function of one tensor, whose ``shape`` is that of the network
    called ``name``, for batches of one.

    ``representative`` yields inputs of shape (1, ...) by which the converter finds ranges; without
    it ``function`` states them by fake quantization. ModelError where an operator has no int8 form.
    """
    if None in shape[1:]:
        raise ModelError(
            "the network must have an input of fixed height, width and channels",
            name,
            f"its input is {tuple(shape)}",
        )
    spec = tf.TensorSpec((1, *shape[1:]), tf.float32, "image")
    traced = tf.function(function, autograph=False).get_concrete_function(spec)
    frozen = convert_variables_to_constants_v2(traced)
    with _quiet():
        converter = tf.lite.TFLiteConverter.from_concrete_functions([frozen])
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if representative is not None:
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
            name,
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
