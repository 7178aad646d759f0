"""Augmentation and batches: the same seed and step, the same pictures."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from tinyvision.preprocess import Preprocess, real_values
from tinyvision.train import data
from tinyvision.train.augment import PRESETS, Augment, augmented
from tinyvision.train.pipeline import batches

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (16, 12, 10, 3)).astype(np.float32)
LABELS = np.eye(4, dtype=np.float32)[np.arange(16) % 4]


def apply(policy, seed=(1, 2)):
    images, labels = augmented(tf.constant(IMAGES), tf.constant(LABELS), policy, tf.constant(seed))
    return images.numpy(), labels.numpy()


def test_none_changes_nothing():
    images, labels = apply(PRESETS["none"])
    assert np.array_equal(images, IMAGES) and np.array_equal(labels, LABELS)


@pytest.mark.parametrize("name", ["light", "medium", "strong"])
def test_presets_follow_from_the_seed(name):
    first, second, other = (apply(PRESETS[name], seed)[0] for seed in ((1, 2), (1, 2), (1, 3)))
    assert np.array_equal(first, second) and not np.array_equal(first, other)
    assert first.min() >= 0 and first.max() <= 255
    changed = np.abs(first - IMAGES).max(axis=(1, 2, 3)) > 1
    assert changed.mean() > 0.8


def test_each_operation_is_what_its_name_says():
    flipped = apply(Augment(flip=True))[0]
    mirrored = [np.array_equal(a, b[:, ::-1]) for a, b in zip(flipped, IMAGES, strict=True)]
    same = [np.array_equal(a, b) for a, b in zip(flipped, IMAGES, strict=True)]
    assert 0 < sum(mirrored) < 16 and sum(mirrored) + sum(same) == 16

    every = 8  # operations, so that each picture gets the one with a strength
    brighter = apply(Augment(operations=every, brightness=10))[0] - IMAGES
    inside = (IMAGES > 10) & (IMAGES < 245)
    for picture, where in zip(brighter, inside, strict=True):
        assert np.ptp(picture[where]) < 1e-3 and np.abs(picture).max() <= 10.001

    grey = np.repeat(IMAGES[..., :1], 3, axis=-1)
    unsaturated = augmented(
        tf.constant(grey), tf.constant(LABELS), Augment(operations=every, saturation=0.5),
        tf.constant((1, 2)),
    )[0].numpy()  # fmt: skip
    assert np.allclose(unsaturated, grey, atol=1e-3)

    erased = apply(Augment(operations=every, erase=0.5))[0]
    assert ((erased == 128).all(axis=-1).mean(axis=(1, 2)) <= 0.35).all()
    assert (erased[erased != 128] == IMAGES[erased != 128]).all()


def test_mixup_mixes_labels_as_it_mixes_pictures():
    images, labels = apply(Augment(mixup=0.4))
    shares = labels.max(axis=1)
    assert np.allclose(labels.sum(axis=1), 1) and (shares >= 0.5).all() and shares.min() < 0.99
    want = shares[:, None, None, None] * IMAGES
    want += (1 - shares)[:, None, None, None] * np.roll(IMAGES, 1, axis=0)
    assert np.allclose(images, want, atol=1e-2)


def test_batches_can_be_entered_at_any_step():
    shapes = data.load("shapes", Preprocess(16, 16, 3))
    arguments = (shapes, 800, PRESETS["light"], 7)
    every = list(batches(*arguments, 0, 6))
    later = list(batches(*arguments, 4, 6))
    for (first, labels), (second, same) in zip(every[4:], later, strict=True):
        assert np.array_equal(first, second) and np.array_equal(labels, same)
    assert not np.array_equal(every[0][0], every[3][0])

    plain = list(batches(shapes, 800, PRESETS["none"], 7, 0, 3))  # an epoch: every picture once
    seen = np.concatenate([images for images, _ in plain]).reshape(2400, -1)
    wanted = real_values(shapes.train.images).reshape(2400, -1)
    assert np.array_equal(np.sort(seen.sum(axis=1)), np.sort(wanted.sum(axis=1)))
