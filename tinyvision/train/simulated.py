"""Training on with simulated int8: the network that was trained in float teaches its own copy that
computes as the int8 file will.
"""

from __future__ import annotations

from dataclasses import replace

import keras

from tinyvision.settings import Settings
from tinyvision.train.conditions import deterministic, precision, strategy
from tinyvision.train.distill import teacher_of
from tinyvision.train.loop import Task, Watch, fit
from tinyvision.train.networks import calibration_images
from tinyvision.train.quantization import qat
from tinyvision.train.student import Student

FOLDER = "qat"
"""Beside the float network's files: where the checkpoint and the logs of this part are."""


def train_simulated(
    float_model: keras.Model, float_task: Task, settings: Settings, watch: Watch
) -> keras.Model:
    """A network of ``qat`` that has learnt for ``settings.quantization.qat_epochs``, as
    ``float_task`` did but from ``float_model``'s answers too. Goes on where it was interrupted.
    """
    training = replace(
        settings.training,
        epochs=settings.quantization.qat_epochs,
        learning_rate=settings.training.learning_rate / 4,
        teacher=None,
        netaug=1.0,
    )
    key = float_task.key | {"quantization": settings.to_json()["quantization"]}
    task = Task(float_task.data, training, key, float_task.folder / FOLDER)
    calibration = calibration_images(task.data, settings.quantization.samples)
    somewhere = strategy(training.distribute)
    with deterministic(training.seed), precision(False):
        aware = qat(float_model, calibration)
        with somewhere.scope():
            inner = keras.models.clone_model(aware)
            inner.set_weights(aware.get_weights())
            teacher_model = keras.models.clone_model(float_model)
            teacher_model.set_weights(float_model.get_weights())
        teacher = teacher_of(teacher_model, len(task.data.classes), float_model.name)
        fit(Student(inner), task, teacher, watch, somewhere)
    aware.set_weights(inner.get_weights())
    return aware
