"""Batches of a data set as a ``tf.data`` pipeline that can be entered at any step.

What a step sees depends on the seed and the number of the step alone, so that a training that was
killed goes on as if nothing had been.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import tensorflow as tf

from tinyvision.preprocess import Pixels
from tinyvision.train.augment import Augment, augmented
from tinyvision.train.data.dataset import Dataset, Labels


def steps_per_epoch(samples: int, batch: int) -> int:
    """Whole batches only; the pictures left over differ from epoch to epoch."""
    return max(1, samples // batch)


def batches(
    data: Dataset, batch: int, policy: Augment, seed: int, first_step: int, last_step: int
) -> tf.data.Dataset:
    """``(images, labels)`` for the steps ``first_step <= step < last_step``: float32 as the network
    sees them, and float32 shares of the classes.
    """
    train, classes = data.train, len(data.classes)
    size = min(batch, len(train))
    per_epoch = steps_per_epoch(len(train), size)

    @lru_cache(maxsize=2)
    def order(epoch: int) -> Labels:
        return np.random.default_rng([seed, epoch]).permutation(len(train))

    def take(step: np.int64) -> tuple[Pixels, Labels]:
        epoch, number = divmod(int(step), per_epoch)
        chosen = order(epoch)[number * size : (number + 1) * size]
        return train.images[chosen], train.labels[chosen]

    def make(step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        pixels, labels = tf.numpy_function(take, [step], [tf.uint8, tf.int64], stateful=False)
        images = tf.cast(tf.ensure_shape(pixels, (size, *train.images.shape[1:])), tf.float32)
        shares = tf.one_hot(tf.ensure_shape(labels, (size,)), classes)
        key = tf.stack([tf.constant(seed, tf.int32), tf.cast(step, tf.int32)])
        images, shares = augmented(images, shares, policy, key)
        return (images - 128.0) / 128.0, shares

    steps = tf.data.Dataset.range(first_step, last_step)
    return steps.map(make, num_parallel_calls=2, deterministic=True).prefetch(2)
