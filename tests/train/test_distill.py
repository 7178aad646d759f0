"""What each kind of distillation asks of a student, in numbers."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from tinyvision.train.distill import Distillation
from tinyvision.train.student import Outputs

RANDOM = np.random.default_rng(0)
LOGITS = RANDOM.normal(0, 3, (4, 10)).astype(np.float32)
MAPS = RANDOM.normal(size=(4, 2, 2, 6)).astype(np.float32)


def outputs(logits: np.ndarray, maps: np.ndarray = MAPS) -> Outputs:
    return Outputs(tf.constant(logits), tf.constant(maps))


def softmax(x: np.ndarray) -> np.ndarray:
    shares = np.exp(x - x.max(axis=1, keepdims=True))
    return shares / shares.sum(axis=1, keepdims=True)


def test_softened_answers_are_compared_by_their_divergence():
    other, t = np.roll(LOGITS, 1, axis=0), 2.0
    wanted, given = softmax(LOGITS / t), softmax(other / t)
    expected = t * t * (wanted * np.log(wanted / given)).sum(axis=1)
    found = Distillation("response", t, 0)(outputs(other), outputs(LOGITS))
    np.testing.assert_allclose(found, expected, rtol=1e-4)


@pytest.mark.parametrize("kind", ["response", "relation"])
def test_nothing_is_asked_of_who_answers_alike(kind):
    """Nor does the size of the teacher's features matter, nor their direction."""
    turned = 5 * MAPS @ np.linalg.qr(RANDOM.normal(size=(6, 6)))[0].astype(np.float32)
    found = Distillation(kind, 3.0, 0)(outputs(LOGITS), outputs(LOGITS + 1, turned))
    np.testing.assert_allclose(found, np.zeros(4), atol=1e-4)


def test_relations_of_pictures_that_lie_otherwise_cost():
    other = RANDOM.normal(size=MAPS.shape).astype(np.float32)
    assert np.min(Distillation("relation", 3.0, 0)(outputs(LOGITS), outputs(LOGITS, other))) > 0.01


def test_features_are_learnt_through_a_linear_map_that_is_trained_along():
    """The teacher's map has twice as many channels, and half the resolution."""
    distillation = Distillation("feature", 3.0, 0)
    theirs = MAPS.mean(axis=(1, 2), keepdims=True) @ RANDOM.normal(size=(6, 12)).astype(np.float32)
    ours, teacher = outputs(LOGITS), outputs(LOGITS, theirs.astype(np.float32))
    distillation.build(ours, teacher)
    kernel, bias = (variable.value for variable in distillation.variables)
    losses = []
    for _ in range(200):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(distillation(ours, teacher))
        for variable, slope in zip(
            (kernel, bias), tape.gradient(loss, (kernel, bias)), strict=True
        ):
            variable.assign_sub(0.5 * slope)
        losses.append(float(loss))
    assert losses[-1] < 0.1 * losses[0]
