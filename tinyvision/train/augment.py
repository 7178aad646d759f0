"""Augmentation of batches, as tensors, from a seed: the same seed and batch give the same pictures.

RandAugment (arXiv:1909.13719) for networks of a few thousand parameters: each picture gets a few of
the operations at random strengths, milder than for large networks, which have capacity to spare
(NetAug, arXiv:2110.08890, section 1).
"""

from __future__ import annotations

from dataclasses import dataclass

import tensorflow as tf


@dataclass(frozen=True)
class Augment:
    """The largest strength of each operation, and how many of them a picture gets: ``rotate`` in
    radians, ``shear`` and ``zoom`` as shares of 1, ``shift`` and ``erase`` as shares of a side,
    ``brightness`` in pixel values, ``contrast`` and ``saturation`` as shares of 1.
    """

    operations: int = 0
    shift: float = 0.0
    rotate: float = 0.0
    shear: float = 0.0
    zoom: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    erase: float = 0.0
    flip: bool = False
    mixup: float = 0.0


PRESETS = {
    "none": Augment(),
    "light": Augment(
        operations=3, shift=0.1, rotate=0.15, shear=0.1, zoom=0.1, brightness=20, contrast=0.2,
        saturation=0.3,
    ),
    "medium": Augment(
        operations=4, shift=0.15, rotate=0.25, shear=0.15, zoom=0.2, brightness=40, contrast=0.3,
        saturation=0.5, erase=0.25,
    ),
    "strong": Augment(
        operations=5, shift=0.2, rotate=0.5, shear=0.25, zoom=0.35, brightness=60, contrast=0.5,
        saturation=0.8, erase=0.4,
    ),
}  # fmt: skip
_KINDS = ("shift", "rotate", "shear", "zoom", "brightness", "contrast", "saturation", "erase")


def augmented(
    images: tf.Tensor, labels: tf.Tensor, policy: Augment, seed: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """``images`` (float32, 0 to 255) and ``labels`` (shares of the classes) of a batch; ``seed`` is
    ``int32[2]``.
    """
    if policy.operations:
        images = _operate(images, policy, seed)
    if policy.flip:
        sides = _uniform(tf.shape(images)[:1], seed, 90, 0.0, 1.0)[:, None, None, None]
        images = tf.where(sides < 0.5, tf.reverse(images, [2]), images)
    if policy.mixup:
        images, labels = _mixed(images, labels, policy.mixup, seed)
    return tf.clip_by_value(images, 0.0, 255.0), labels


def _uniform(shape: tf.Tensor, seed: tf.Tensor, salt: int, low: float, high: float) -> tf.Tensor:
    return tf.random.stateless_uniform(shape, seed + tf.constant([0, salt * 1_000_003]), low, high)


def _operate(images: tf.Tensor, policy: Augment, seed: tf.Tensor) -> tf.Tensor:
    count = tf.shape(images)[0]
    order = tf.argsort(_uniform([count, len(_KINDS)], seed, 1, 0.0, 1.0), axis=1)
    chosen = tf.cast(tf.argsort(order, axis=1) < policy.operations, tf.float32)

    def strength(kind: str, salt: int = 0) -> tf.Tensor:
        """-1 to 1 times the largest, or 0 for pictures that do not get this operation."""
        index = _KINDS.index(kind)
        drawn = _uniform([count], seed, 10 + 2 * index + salt, -1.0, 1.0)
        return drawn * getattr(policy, kind) * chosen[:, index]

    images = _warped(
        images,
        strength("shift"),
        strength("shift", 1),
        strength("rotate"),
        strength("shear"),
        strength("zoom"),
    )
    images = _coloured(images, strength("brightness"), strength("contrast"), strength("saturation"))
    return _erased(images, strength("erase"), seed) if policy.erase else images


def _warped(
    images: tf.Tensor,
    down: tf.Tensor,
    right: tf.Tensor,
    angle: tf.Tensor,
    shear: tf.Tensor,
    zoom: tf.Tensor,
) -> tf.Tensor:
    """One bilinear resampling for all that moves pixels: about the middle, edges repeated."""
    height, width = images.shape[1:3]
    scale = tf.exp(-zoom)
    cos, sin = tf.cos(angle) * scale, tf.sin(angle) * scale
    a, b, c, d = cos, shear * cos - sin, sin, shear * sin + cos
    middle_x, middle_y = (width - 1) / 2, (height - 1) / 2
    x0 = middle_x - a * middle_x - b * middle_y + right * width
    y0 = middle_y - c * middle_x - d * middle_y + down * height
    zero = tf.zeros_like(a)
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=tf.stack([a, b, x0, c, d, y0, zero, zero], axis=1),
        output_shape=[height, width],
        interpolation="BILINEAR",
        fill_mode="NEAREST",
        fill_value=0.0,
    )


def _coloured(
    images: tf.Tensor, brightness: tf.Tensor, contrast: tf.Tensor, saturation: tf.Tensor
) -> tf.Tensor:
    def each(values: tf.Tensor) -> tf.Tensor:
        return values[:, None, None, None]

    if images.shape[-1] == 3:
        grey = tf.reduce_mean(images, axis=-1, keepdims=True)
        images = grey + (images - grey) * (1 + each(saturation))
    middle = tf.reduce_mean(images, axis=[1, 2, 3], keepdims=True)
    return middle + (images - middle) * (1 + each(contrast)) + each(brightness)


def _erased(images: tf.Tensor, share: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """A grey square of ``|share|`` of a side somewhere in each picture."""
    count, (height, width) = tf.shape(images)[0], images.shape[1:3]
    middle = _uniform([count, 2], seed, 40, 0.0, 1.0)
    half = tf.abs(share)[:, None] / 2
    rows = tf.abs((tf.range(height, dtype=tf.float32) + 0.5) / height - middle[:, :1]) < half
    columns = tf.abs((tf.range(width, dtype=tf.float32) + 0.5) / width - middle[:, 1:]) < half
    inside = tf.logical_and(rows[:, :, None], columns[:, None, :])[..., None]
    return tf.where(inside, 128.0, images)


def _mixed(
    images: tf.Tensor, labels: tf.Tensor, parameter: float, seed: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """mixup (arXiv:1710.09412): each picture with the one before it in the batch."""
    count = tf.shape(images)[0]
    powers = tf.constant([parameter] * 2, tf.float32)
    draws = tf.random.stateless_gamma([count, 2], seed + tf.constant([0, 50]), alpha=powers)
    share = draws[:, 0] / tf.maximum(tf.reduce_sum(draws, axis=1), 1e-12)
    share = tf.maximum(share, 1 - share)
    pixels = share[:, None, None, None]
    mixed = pixels * images + (1 - pixels) * tf.roll(images, 1, axis=0)
    return mixed, share[:, None] * labels + (1 - share[:, None]) * tf.roll(labels, 1, axis=0)
