"""What a student learns of a teacher: its answers, its features, or how it relates pictures (the
three kinds of Gou et al., "Knowledge Distillation: A Survey", arXiv:2006.05525).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import keras
import tensorflow as tf
from keras import Variable

from tinyvision.errors import UserError
from tinyvision.train.student import Outputs, with_features

Teacher = Callable[[tf.Tensor], Outputs]


def load_teacher(path: Path, classes: int) -> Teacher:
    """Any Keras classifier of as many classes that takes pictures as networks trained here do,
    (pixel - 128) / 128, at whatever resolution, grey or coloured, and answers logits or softmax.
    """
    try:
        model = keras.models.load_model(path, compile=False)
    except (OSError, ValueError, TypeError, KeyError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError("the teacher cannot be read", str(path), reason) from error
    return teacher_of(model, classes, str(path))


def teacher_of(model: keras.Model, classes: int, where: str) -> Teacher:
    """``model`` as a teacher; UserError where it answers something else than the student."""
    shape = model.output_shape
    if len(model.inputs) != 1 or not isinstance(shape, tuple) or shape[1:] != (classes,):
        raise UserError(
            "the teacher does not answer the same question",
            where,
            f"its output is {shape}, the data has {classes} classes",
        )
    model.trainable = False
    inner, probabilities = with_features(model), _answers_probabilities(model)
    height, width, channels = model.input_shape[1:]

    def ask(images: tf.Tensor) -> Outputs:
        features, logits = inner(_as_seen(images, height, width, channels), training=False)
        logits = tf.cast(logits, tf.float32)
        return Outputs(tf.math.log(logits + 1e-7) if probabilities else logits, features)

    return ask


def _answers_probabilities(model: keras.Model) -> bool:
    last = model.layers[-1]
    activation = getattr(last, "activation", None)
    return isinstance(last, keras.layers.Softmax) or activation is keras.activations.softmax


def _as_seen(
    images: tf.Tensor, height: int | None, width: int | None, channels: int | None
) -> tf.Tensor:
    """``images`` at the size and in the colours that a teacher takes."""
    if height and width and images.shape[1:3] != (height, width):
        images = tf.image.resize(images, (height, width))
    if channels == 3 and images.shape[-1] == 1:
        return tf.repeat(images, 3, axis=-1)
    if channels == 1 and images.shape[-1] == 3:
        return tf.reduce_mean(images, axis=-1, keepdims=True)
    return images


class Distillation:
    """The loss of one ``kind``. ``variables`` are trained along; they exist after ``build``."""

    def __init__(self, kind: str, temperature: float, seed: int) -> None:
        self._kind, self._temperature, self._seed = kind, temperature, seed
        self._adapter: keras.Layer | None = None

    def build(self, student: Outputs, teacher: Outputs) -> None:
        """For tensors of these shapes."""
        if self._kind == "feature":
            self._adapter = keras.layers.Conv2D(
                teacher.features.shape[-1],
                1,
                kernel_initializer=keras.initializers.GlorotUniform(self._seed),
                dtype="float32",
                name="adapter",
            )
            self._adapter.build(student.features.shape)

    @property
    def variables(self) -> list[Variable]:
        return list(self._adapter.trainable_variables) if self._adapter is not None else []

    def __call__(self, student: Outputs, teacher: Outputs) -> tf.Tensor:
        """Of a batch, a loss for each picture or one for all."""
        answers = self._response(student.logits, tf.stop_gradient(teacher.logits))
        if self._kind == "response":
            return answers
        ours = tf.cast(student.features, tf.float32)
        theirs = tf.stop_gradient(tf.cast(teacher.features, tf.float32))
        if self._kind == "feature":
            return answers + self._feature(ours, theirs)
        return answers + _relation(ours, theirs)

    def _response(self, student: tf.Tensor, teacher: tf.Tensor) -> tf.Tensor:
        """Hinton et al. (arXiv:1503.02531): divergence of softened answers, times T squared."""
        t = self._temperature
        wanted = tf.nn.softmax(teacher / t)
        difference = tf.nn.log_softmax(teacher / t) - tf.nn.log_softmax(student / t)
        return t * t * tf.reduce_sum(wanted * difference, axis=-1)

    def _feature(self, student: tf.Tensor, teacher: tf.Tensor) -> tf.Tensor:
        """FitNets (arXiv:1412.6550): the student's map, mapped linearly, against the teacher's;
        both normalised, so that the size of features does not matter.
        """
        assert self._adapter is not None
        mapped = self._adapter(student)
        if mapped.shape[1:3] != teacher.shape[1:3]:
            mapped = tf.image.resize(mapped, teacher.shape[1:3])
        a, b = (tf.nn.l2_normalize(x, axis=-1) for x in (mapped, teacher))
        return tf.reduce_mean(tf.reduce_sum(tf.square(a - b), axis=-1), axis=[1, 2])


def _relation(student: tf.Tensor, teacher: tf.Tensor) -> tf.Tensor:
    """Relational distillation (arXiv:1904.05068): the distances between pictures, by their mean,
    and the angles between three of them, weighted 1 to 2 as there.
    """
    ours, theirs = (tf.reduce_mean(x, axis=[1, 2]) for x in (student, teacher))
    distances = _huber(_distances(ours), _distances(theirs))
    return distances + 2 * _huber(_angles(ours), _angles(theirs))


def _distances(points: tf.Tensor) -> tf.Tensor:
    squares = tf.reduce_sum(tf.square(points[:, None] - points[None]), axis=-1)
    lengths = tf.sqrt(squares + 1e-12)
    return lengths / (tf.reduce_sum(lengths) / tf.cast(tf.size(lengths), tf.float32) + 1e-12)


def _angles(points: tf.Tensor) -> tf.Tensor:
    directions = tf.nn.l2_normalize(points[:, None] - points[None], axis=-1, epsilon=1e-12)
    return tf.einsum("ijc,ikc->ijk", directions, directions)


def _huber(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    difference = tf.abs(a - b)
    return tf.reduce_mean(tf.where(difference < 1, 0.5 * tf.square(difference), difference - 0.5))
