"""The loop: steps, epochs, averages of the weights, checkpoints.

Everything a training does follows from its settings and its data; on a CPU the same ones give the
same weights, whether it was interrupted or not.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import keras
import numpy as np
import tensorflow as tf
from keras import Variable

from tinyvision.errors import UserError
from tinyvision.ir.types import Array
from tinyvision.preprocess import real_values
from tinyvision.settings import TrainingSettings
from tinyvision.train import checkpoint
from tinyvision.train.augment import PRESETS
from tinyvision.train.data.dataset import Dataset, Split
from tinyvision.train.distill import Distillation, Teacher
from tinyvision.train.logs import Curves
from tinyvision.train.pipeline import batches, steps_per_epoch
from tinyvision.train.student import Outputs, Student

log = logging.getLogger(__name__)

_EVALUATION_BATCH = 256
_UNFLIPPABLE = ("digits", "mnist", "tfds:mnist")


class Watch(Protocol):
    """Who wants to know how a training is getting on."""

    def step(self, done: int, total: int, text: str) -> None:
        """``text``: what the last epoch gave."""


class Unwatched:
    def step(self, done: int, total: int, text: str) -> None:
        pass


@dataclass(frozen=True)
class Task:
    """A training: what, of which data, how. ``key`` is all that the result depends on; ``folder``
    takes the checkpoint and the logs.
    """

    data: Dataset
    settings: TrainingSettings
    key: dict[str, Any]
    folder: Path

    @property
    def batch(self) -> int:
        return min(self.settings.batch, len(self.data.train))

    @property
    def per_epoch(self) -> int:
        return steps_per_epoch(len(self.data.train), self.batch)

    @property
    def steps(self) -> int:
        return self.settings.epochs * self.per_epoch

    @property
    def checkpoint(self) -> Path:
        return self.folder / "checkpoint.npz"


def fit(
    student: Student,
    task: Task,
    teacher: Teacher | None = None,
    watch: Watch | None = None,
    strategy: tf.distribute.Strategy | None = None,
) -> list[dict[str, Any]]:
    """Trains ``student`` in place, from its checkpoint if there is one with the same key; returns
    an entry an epoch. UserError where the loss is not finite any more.
    """
    strategy, watch = strategy or tf.distribute.get_strategy(), watch or Unwatched()
    with strategy.scope():
        trainer = _Trainer(student, task, teacher, strategy)
    epoch, history = trainer.restore()
    ended = _ended(history, task.settings.patience)
    feed = batches(
        task.data, task.batch, _policy(task), task.settings.seed, epoch * task.per_epoch, task.steps
    )
    steps = iter(strategy.experimental_distribute_dataset(feed))
    curves = Curves(task.folder / "logs")
    text = ""
    while epoch < task.settings.epochs and not ended:
        sums = []
        for number in range(task.per_epoch):
            sums.append(trainer.step(*next(steps)))
            watch.step(epoch * task.per_epoch + number + 1, task.steps, text)
        loss, right = (float(sum(values)) / task.per_epoch for values in zip(*sums, strict=True))
        if not math.isfinite(loss):
            raise UserError(
                f"the loss is {loss} in epoch {epoch + 1}",
                hint="Take a smaller --learning-rate.",
            )
        epoch += 1
        entry = {"epoch": epoch, "loss": loss, "accuracy": right, **trainer.validate()}
        history.append(entry)
        text = f"loss {loss:.3f}, validation {entry['val_accuracy']:.1%}"
        log.info("epoch %d: %s", epoch, text)
        curves.add(epoch, entry)
        ended = _ended(history, task.settings.patience)
        trainer.save(epoch, history)
    trainer.finish()
    return history


def _ended(history: list[dict[str, Any]], patience: int) -> bool:
    """Whether the last ``patience`` epochs have brought nothing."""
    best = max(history, key=lambda entry: entry["val_accuracy"], default=None)
    return bool(patience and best and len(history) - best["epoch"] >= patience)


def _policy(task: Task) -> Any:
    settings, flip = task.settings, task.settings.flip
    if flip is None:
        flip = task.data.name not in _UNFLIPPABLE
    return replace(
        PRESETS[settings.augment],
        flip=flip and settings.augment != "none",
        mixup=settings.mixup,
    )


def _quicken(model: keras.Model) -> None:
    """Lets statistics of batch norm follow quickly: they are averaged with the weights anyway, and
    a short training would end before slow ones have arrived.
    """
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = min(layer.momentum, 0.9)


class _Trainer:
    """One step after the other. ``state`` is every variable that a checkpoint holds."""

    def __init__(
        self,
        student: Student,
        task: Task,
        teacher: Teacher | None,
        strategy: tf.distribute.Strategy,
    ) -> None:
        self._student, self._task, self._strategy = student, task, strategy
        if task.settings.ema:
            _quicken(student.model)
        settings = task.settings
        self._weights = tf.constant(
            task.data.class_weights()
            if settings.balance
            else np.ones(len(task.data.classes), np.float32)
        )
        self._variables = student.trainable
        self._averaged = [
            variable
            for variable in (*student.trainable, *student.others)
            if "float" in variable.dtype
        ]
        self._averages = [tf.Variable(v.value, trainable=False) for v in self._averaged]
        self._teacher = self._own_average if settings.teacher == "self" else teacher
        self._distillation: Distillation | None = None
        if self._teacher is not None:
            self._build_distillation()
        self._optimizer = self._make_optimizer()
        self._optimizer.build(self._variables)
        self._done = tf.Variable(0, dtype=tf.int64, trainable=False)
        self._best = [np.asarray(v) for v in self._averages] if settings.patience else []
        self.step = tf.function(self._step)
        self._logits = tf.function(lambda x: student.model(x, training=False))

    def _build_distillation(self) -> None:
        settings, shape = self._task.settings, self._task.data.train.images.shape[1:]
        self._distillation = Distillation(settings.distill, settings.temperature, settings.seed)
        probe = tf.zeros((1, *shape))
        assert self._teacher is not None
        before = [np.asarray(v) for v in self._student.others]
        self._distillation.build(self._student(probe), self._teacher(probe))
        for variable, value in zip(self._student.others, before, strict=True):
            variable.assign(value)  # as if batch norm had not seen the probe
        self._variables = [*self._variables, *self._distillation.variables]

    def _make_optimizer(self) -> keras.optimizers.Optimizer:
        settings, steps = self._task.settings, self._task.steps
        warmup = int(settings.warmup * steps)
        rate = keras.optimizers.schedules.CosineDecay(
            settings.learning_rate / 100 if warmup else settings.learning_rate,
            max(1, steps - warmup),
            alpha=0.001,
            warmup_target=settings.learning_rate if warmup else None,
            warmup_steps=warmup,
        )
        optimizer = keras.optimizers.AdamW(
            rate, weight_decay=settings.weight_decay, global_clipnorm=settings.clip
        )
        optimizer.exclude_from_weight_decay(var_names=["bias", "beta", "gamma", "log_scale"])
        if keras.mixed_precision.global_policy().compute_dtype == "float16":
            return keras.mixed_precision.LossScaleOptimizer(optimizer)
        return optimizer

    def _own_average(self, images: tf.Tensor) -> Outputs:
        """Mean teacher (arXiv:1703.01780): the student with its averaged weights."""
        values = {id(v): average for v, average in zip(self._averaged, self._averages, strict=True)}
        model = self._student.inner

        def value(variable: Variable) -> Any:
            return values.get(id(variable), variable.value)

        (features, logits), _ = model.stateless_call(
            self._student.weights(value),
            [value(variable) for variable in model.non_trainable_variables],
            images,
            training=False,
        )
        return Outputs(tf.cast(logits, tf.float32), features)

    def _step(self, images: tf.Tensor, shares: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Loss and accuracy of a batch, which the weights have then learnt from."""
        replicas = self._strategy.run(self._learn, args=(images, shares))
        self._done.assign_add(1)
        self._update_averages()
        loss, right = (
            self._strategy.reduce(tf.distribute.ReduceOp.MEAN, value, axis=None)
            for value in replicas
        )
        return loss, right

    def _learn(self, images: tf.Tensor, shares: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape() as tape:
            outputs = self._student(images)
            loss = self._loss(outputs, images, shares)
            scaled = self._optimizer.scale_loss(loss / self._strategy.num_replicas_in_sync)
        gradients = tape.gradient(scaled, [v.value for v in self._variables])
        self._optimizer.apply(gradients, self._variables)
        agree = tf.equal(tf.argmax(outputs.logits, -1), tf.argmax(shares, -1))
        return loss, tf.reduce_mean(tf.cast(agree, tf.float32))

    def _loss(self, outputs: Outputs, images: tf.Tensor, shares: tf.Tensor) -> tf.Tensor:
        """Mean over the batch, each picture weighted as its class is."""
        settings = self._task.settings
        smooth = settings.label_smoothing
        wanted = shares * (1 - smooth) + smooth / shares.shape[-1]
        loss = tf.nn.softmax_cross_entropy_with_logits(wanted, outputs.logits)
        if self._teacher is not None and self._distillation is not None:
            share = settings.distill_weight
            loss = (1 - share) * loss + share * self._distillation(outputs, self._teacher(images))
        if outputs.wide_logits is not None:
            loss += tf.nn.softmax_cross_entropy_with_logits(wanted, outputs.wide_logits)
        return tf.reduce_mean(loss * tf.linalg.matvec(shares, self._weights))

    def _update_averages(self) -> None:
        """Their memory grows from nothing to what the settings say."""
        done = tf.cast(self._done, tf.float32)
        decay = tf.minimum(self._task.settings.ema, (1 + done) / (10 + done))
        for average, variable in zip(self._averages, self._averaged, strict=True):
            value = tf.cast(variable.value, average.dtype)
            average.assign(value + tf.cast(decay, average.dtype) * (average - value))

    def validate(self) -> dict[str, float]:
        """With the averaged weights."""
        val = self._task.data.val
        with self._with_averages():
            logits = self.logits(val if len(val) else self._task.data.train)
        split = val if len(val) else self._task.data.train
        return {"val_accuracy": float(np.mean(logits.argmax(axis=1) == split.labels))}

    def logits(self, split: Split) -> Array:
        return predict(self._logits, split.images)

    @contextmanager
    def _with_averages(self) -> Iterator[None]:
        """The averages in the place of the weights."""
        own = [np.asarray(variable) for variable in self._averaged]
        self._assign(self._averaged, [np.asarray(average) for average in self._averages])
        self._student.sync()
        try:
            yield
        finally:
            self._assign(self._averaged, own)
            self._student.sync()

    @staticmethod
    def _assign(variables: Any, values: Any) -> None:
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)

    @property
    def _state(self) -> list[Any]:
        return [
            *self._variables,
            *self._student.others,
            *self._optimizer.variables,
            *self._averages,
            self._done,
        ]

    def save(self, epoch: int, history: list[dict[str, Any]]) -> None:
        """Where patience may end the training, with the best weights so far."""
        if self._task.settings.patience:
            best = max(history, key=lambda entry: entry["val_accuracy"])
            if best is history[-1]:
                self._best = [np.asarray(average) for average in self._averages]
        arrays = [np.asarray(variable) for variable in self._state] + self._best
        written = checkpoint.Checkpoint(epoch, self._task.key, history, arrays)
        written.write(self._task.checkpoint)

    def restore(self) -> tuple[int, list[dict[str, Any]]]:
        """Epochs done, and their history."""
        found = checkpoint.read(self._task.checkpoint)
        state = self._state
        if found is None or found.key != self._task.key:
            return 0, []
        self._assign(state, found.arrays[: len(state)])
        self._best = list(found.arrays[len(state) :])
        log.info("going on after epoch %d", found.step)
        return found.step, found.history

    def finish(self) -> None:
        """Leaves the averages in the network: the best ones where patience is set."""
        last = [np.asarray(average) for average in self._averages]
        self._assign(self._averaged, self._best if self._best else last)
        self._student.sync()


def predict(logits: Any, images: Any) -> Array:
    """``logits[n, classes]`` of ``uint8`` pictures, in batches of one size."""
    results = []
    for first in range(0, len(images), _EVALUATION_BATCH):
        part = real_values(np.asarray(images[first : first + _EVALUATION_BATCH]))
        size = min(_EVALUATION_BATCH, len(images))
        padded = np.pad(part, [(0, size - len(part)), *[(0, 0)] * 3])
        results.append(np.asarray(logits(padded), np.float32)[: len(part)])
    return np.concatenate(results)


def predict_file(path: Path, images: Array) -> Array:
    """What a ``.keras`` file answers to ``uint8`` pictures."""
    import_module("tinyvision.train.quantization")  # its layers may be in the file
    try:
        model = keras.models.load_model(path, compile=False)
    except (OSError, ValueError, TypeError, KeyError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError("the network cannot be read", str(path), reason) from error
    return predict(tf.function(lambda x: model(x, training=False)), images)
