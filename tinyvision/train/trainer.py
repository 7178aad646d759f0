"""The whole of a training: data, budget, epochs, int8, and what is written beside the result."""

from __future__ import annotations

import hashlib
import json
import platform
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import keras
import numpy as np
import tensorflow as tf

from tinyvision import __version__
from tinyvision.errors import UserError
from tinyvision.files import write_whole
from tinyvision.importer.labels import with_labels
from tinyvision.settings import Settings
from tinyvision.train import budget, checkpoint
from tinyvision.train.conditions import deterministic, precision, strategy
from tinyvision.train.data import Dataset, load
from tinyvision.train.data.dataset import Split
from tinyvision.train.distill import Teacher, load_teacher
from tinyvision.train.loop import Task, Watch, fit, predict
from tinyvision.train.networks import Choice, choose, preprocess_of, quantized
from tinyvision.train.quantization import convert
from tinyvision.train.simulated import FOLDER, train_simulated
from tinyvision.train.student import AugmentedStudent, Student


class Reporter(Watch, Protocol):
    """Who wants to know how all of it is getting on."""

    def say(self, text: str) -> None:
        """What is being done now."""

    def warn(self, text: str) -> None:
        """What the user should know of."""

    def reading(self, done: int, total: int) -> None:
        """Pictures read."""


class Silent:
    def say(self, text: str) -> None: ...
    def warn(self, text: str) -> None: ...
    def reading(self, done: int, total: int) -> None: ...
    def step(self, done: int, total: int, text: str) -> None: ...


@dataclass(frozen=True)
class Trained:
    """``float_model`` as trained by ``task``; ``aware_model`` where it was trained on with
    simulated int8.
    """

    task: Task
    choice: Choice
    float_model: keras.Model
    history: list[dict[str, Any]]
    cost: budget.Cost | None
    aware_model: keras.Model | None = None

    @property
    def dataset(self) -> Dataset:
        return self.task.data


def train(
    settings: Settings,
    out: Path,
    *,
    board: str | None = None,
    resume: bool = False,
    reporter: Reporter | None = None,
) -> dict[str, Any]:
    """Trains what ``settings`` say and writes into ``out``: ``model.keras``, ``model.tflite`` and
    ``training.json``, which is returned. FitError before the first epoch for what will not fit
    ``board`` or the budget.

    An unfinished training of the same settings and data in ``out`` is gone on with; with
    ``resume``, one of others is a UserError instead of being started over.
    """
    reporter = reporter or Silent()
    started = time.monotonic()
    trained = train_float(settings, out, board=board, resume=resume, reporter=reporter)
    if settings.quantization.qat:
        reporter.say("preparing simulated int8")
        trained = replace(
            trained,
            aware_model=train_simulated(trained.float_model, trained.task, settings, reporter),
        )
    reporter.say("quantizing")
    quantizing = time.monotonic()
    write_whole(out / "model.tflite", quantize(trained, settings))
    save(trained.aware_model, out / "model.qat.keras")
    seconds = {"train": quantizing - started, "quantize": time.monotonic() - quantizing}
    record = describe(settings, trained, board) | {
        "seconds": {name: round(value, 2) for name, value in seconds.items()}
    }
    write_whole(out / "training.json", json.dumps(record, indent=2) + "\n")
    trained.task.checkpoint.unlink(missing_ok=True)
    (out / FOLDER / trained.task.checkpoint.name).unlink(missing_ok=True)
    return record


def train_float(
    settings: Settings,
    out: Path,
    *,
    board: str | None = None,
    resume: bool = False,
    reporter: Reporter | None = None,
) -> Trained:
    """The float network, which is ``out/model.keras`` then."""
    reporter = reporter or Silent()
    source = settings.data.source
    if source is None:
        raise UserError("there is no data to train with", hint="Name it with --data.")
    choice = choose(settings.model, source)
    reporter.say("reading pictures")
    dataset = load(source, preprocess_of(choice, settings.data), reporter.reading)
    for problem in dataset.skipped:
        reporter.warn(f"skipped: {problem}")
    cost = budget.check(choice, len(dataset.classes), board, settings.budget, reporter.say)
    reporter.say("preparing the network")
    task = Task(dataset, settings.training, _key(settings, choice, dataset), out)
    _check_resume(task, resume)
    model, history = _fit(task, choice, reporter)
    save(model, out / "model.keras")
    return Trained(task, choice, model, history, cost)


def save(model: keras.Model | None, path: Path) -> None:
    """Whole or not at all; without a network, none of an earlier training is left."""
    if model is None:
        path.unlink(missing_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}")
    model.save(temporary)
    temporary.replace(path)


def quantize(trained: Trained, settings: Settings) -> bytes:
    """The int8 ``.tflite``, with class names and the way pictures are fitted at its end."""
    if trained.aware_model is not None:
        data = convert(trained.aware_model)
    else:
        data = quantized(trained.float_model, trained.dataset, settings.quantization.samples)
    return with_labels(data, trained.dataset.classes, trained.dataset.preprocess.fit)


def describe(settings: Settings, trained: Trained, board: str | None) -> dict[str, Any]:
    """Everything that is needed to train the same again, and what came of it."""
    data, choice = trained.dataset, trained.choice
    return {
        "settings": settings.to_json(),
        "board": board,
        "network": str(choice),
        "input": list(choice.shape),
        "parameters": int(trained.float_model.count_params()),
        "classes": list(data.classes),
        "data": {
            "source": data.name,
            "sha256": data.hash,
            "train": len(data.train),
            "val": len(data.val),
            "test": len(data.test),
            "skipped": list(data.skipped),
        },
        "seed": settings.training.seed,
        "versions": versions(),
        "cost": trained.cost.to_json() if trained.cost is not None else None,
        "test_accuracy": _accuracy(trained.float_model, data.test),
        "qat_test_accuracy": _accuracy(trained.aware_model, data.test),
        "history": trained.history,
    }  # fmt: skip


def versions() -> dict[str, str]:
    return {
        "tinyvision": __version__,
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }


def _key(settings: Settings, choice: Choice, dataset: Dataset) -> dict[str, Any]:
    """All that the float weights depend on."""
    teacher = settings.training.teacher
    known = teacher if teacher in (None, "self") else _hash_of(Path(teacher))
    return {
        "training": settings.to_json()["training"] | {"teacher": known},
        "network": str(choice),
        "data": dataset.hash,
        "versions": versions(),
    }


def _hash_of(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise UserError("the teacher cannot be read", str(path), error.strerror or "") from None


def _check_resume(task: Task, resume: bool) -> None:
    found = checkpoint.read(task.checkpoint)
    if not resume or found is None or found.key == task.key:
        return
    parts = [name for name in task.key if found.key.get(name) != task.key[name]]
    raise UserError(
        "the unfinished training there is another one",
        str(task.folder),
        f"it differs in {', '.join(parts)}",
        "Leave --resume away to start over, or name another --out.",
    )


def _fit(
    task: Task, choice: Choice, reporter: Reporter
) -> tuple[keras.Model, list[dict[str, Any]]]:
    settings, classes = task.settings, len(task.data.classes)
    somewhere = strategy(settings.distribute)
    with deterministic(settings.seed), precision(settings.mixed_precision):
        with somewhere.scope():
            model = choice.build(classes, settings.seed)
            student = Student(model)
            if settings.netaug > 1:
                wide = choice.build(classes, settings.seed + 1, settings.netaug * choice.width)
                student = AugmentedStudent(model, wide)
            teacher: Teacher | None = None
            if settings.teacher not in (None, "self"):
                teacher = load_teacher(Path(str(settings.teacher)), classes)
        history = fit(student, task, teacher, reporter, somewhere)
    plain = choice.build(classes, settings.seed)  # in float32, outside of any scope
    plain.set_weights(model.get_weights())
    return plain, history


def _accuracy(model: keras.Model | None, split: Split) -> float | None:
    if model is None or not len(split):
        return None
    logits = predict(tf.function(lambda images: model(images, training=False)), split.images)
    return float(np.mean(logits.argmax(axis=1) == split.labels))
