"""Under which conditions a training runs: determinism, precision, devices."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import keras
import tensorflow as tf


@contextmanager
def deterministic(seed: int) -> Iterator[None]:
    """The same seed gives the same numbers; slower on GPUs, so only where there is none."""
    keras.utils.set_random_seed(seed)
    if not tf.config.list_physical_devices("GPU"):
        tf.config.experimental.enable_op_determinism()
    yield


@contextmanager
def precision(mixed: bool | None) -> Iterator[None]:
    """float16 with float32 weights if ``mixed``; None: on a GPU."""
    if mixed is None:
        mixed = bool(tf.config.list_physical_devices("GPU"))
    before = keras.mixed_precision.dtype_policy()
    keras.mixed_precision.set_dtype_policy("mixed_float16" if mixed else "float32")
    try:
        yield
    finally:
        keras.mixed_precision.set_dtype_policy(before)


def strategy(name: str) -> tf.distribute.Strategy:
    """``none``, ``mirrored`` or ``multi-worker``."""
    if name == "mirrored":
        devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
        return tf.distribute.MirroredStrategy([device.name for device in devices])
    if name == "multi-worker":
        return tf.distribute.MultiWorkerMirroredStrategy()
    return tf.distribute.get_strategy()
