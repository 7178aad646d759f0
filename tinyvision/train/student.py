"""The network that is trained, and what the losses see of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import keras
import tensorflow as tf
from keras import Variable

from tinyvision.errors import UserError


@dataclass(frozen=True)
class Outputs:
    """Of a batch: ``logits[n, classes]``; ``features[n, h, w, c]``, the last feature map;
    ``wide_logits`` where a wider network is trained around this one.
    """

    logits: tf.Tensor
    features: tf.Tensor
    wide_logits: tf.Tensor | None = None


def with_features(model: keras.Model) -> keras.Model:
    """The same layers and variables, with the last feature map before the logits."""
    maps = [layer.output for layer in model.layers if _is_map(layer)]
    if not maps:
        raise UserError("the network has no feature map", model.name)
    return keras.Model(model.inputs, [maps[-1], model.outputs[0]], name=model.name)


def _is_map(layer: keras.Layer) -> bool:
    output = getattr(layer, "output", None)
    return not isinstance(output, (list, tuple)) and output is not None and len(output.shape) == 4


class Student:
    """A plain network. ``trainable`` are the variables with gradients, ``others`` the rest of what
    training changes: statistics of batch norm, states of random generators.
    """

    def __init__(self, model: keras.Model) -> None:
        self.model = model
        self.inner = with_features(model)

    @property
    def trainable(self) -> list[Variable]:
        return list(self.model.trainable_variables)

    @property
    def others(self) -> list[Variable]:
        return list(self.model.non_trainable_variables)

    def __call__(self, images: tf.Tensor) -> Outputs:
        """In training mode."""
        features, logits = self.inner(images, training=True)
        return Outputs(tf.cast(logits, tf.float32), features)

    def weights(self, value: Callable[[Variable], tf.Tensor]) -> list[tf.Tensor]:
        """Of ``model``, in its order, where ``value`` tells those of ``trainable``."""
        return [value(variable) for variable in self.trainable]

    def sync(self) -> None:
        """Brings ``model`` up to date with what was trained."""


class AugmentedStudent(Student):
    """NetAug (arXiv:2110.08890): a network too small to overfit is trained as a part of a wider
    one, which is trained along. Each weight of the network is the first corner of the wide one's.
    """

    def __init__(self, model: keras.Model, wide: keras.Model) -> None:
        super().__init__(model)
        self._wide = wide
        pairs = list(zip(model.trainable_variables, wide.trainable_variables, strict=False))
        if len(model.trainable_variables) != len(wide.trainable_variables) or any(
            len(small.shape) != len(large.shape)
            or any(a > b for a, b in zip(small.shape, large.shape, strict=True))
            for small, large in pairs
        ):
            raise UserError("the wider network is not this one with more channels", model.name)
        for small, large in pairs:
            large.assign(_with_corner(large.value, small.value))

    @property
    def trainable(self) -> list[Variable]:
        return list(self._wide.trainable_variables)

    @property
    def others(self) -> list[Variable]:
        return [*self.model.non_trainable_variables, *self._wide.non_trainable_variables]

    def __call__(self, images: tf.Tensor) -> Outputs:
        states = self.model.non_trainable_variables
        (features, logits), after = self.inner.stateless_call(
            self.weights(lambda variable: variable.value),
            [state.value for state in states],
            images,
            training=True,
        )
        for state, value in zip(states, after, strict=True):
            state.assign(value)
        wide = tf.cast(self._wide(images, training=True), tf.float32)
        return Outputs(tf.cast(logits, tf.float32), features, wide)

    def weights(self, value: Callable[[Variable], tf.Tensor]) -> list[tf.Tensor]:
        pairs = zip(self.model.trainable_variables, self.trainable, strict=True)
        return [_corner(value(large), small.shape) for small, large in pairs]

    def sync(self) -> None:
        corners = self.weights(lambda variable: variable.value)
        for small, value in zip(self.model.trainable_variables, corners, strict=True):
            small.assign(value)


def _corner(value: tf.Tensor, shape: tuple[int, ...]) -> tf.Tensor:
    return tf.slice(value, [0] * len(shape), shape)


def _with_corner(value: tf.Tensor, corner: tf.Tensor) -> tf.Tensor:
    pads = [[0, large - small] for large, small in zip(value.shape, corner.shape, strict=True)]
    inside = tf.pad(tf.ones_like(corner, tf.bool), pads)
    return tf.where(inside, tf.pad(corner, pads), value)
