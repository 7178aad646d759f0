"""The whole of a training: data, budget, epochs, int8, and what is written beside the result."""

from __future__ import annotations

import hashlib
import json
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import keras
import numpy as np
import tensorflow as tf

from tinyvision import __version__
from tinyvision.errors import UserError
from tinyvision.files import write_whole
from tinyvision.importer.labels import with_labels
from tinyvision.settings import Settings, TrainingSettings
from tinyvision.train import budget, checkpoint
from tinyvision.train.data import Dataset, load
from tinyvision.train.distill import Teacher, load_teacher
from tinyvision.train.loop import Task, Watch, fit, predict
from tinyvision.train.networks import Choice, choose, preprocess_of, quantized
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
    """``float_model`` as trained, and its int8 file with the class names in it."""

    dataset: Dataset
    choice: Choice
    float_model: keras.Model
    history: list[dict[str, Any]]
    cost: budget.Cost | None


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
    if settings.quantization.qat:
        raise UserError("training with simulated int8 is not there yet", hint="Leave --qat away.")
    reporter = reporter or Silent()
    started = time.monotonic()
    trained = train_float(settings, out, board=board, resume=resume, reporter=reporter)
    reporter.say("quantizing")
    quantizing = time.monotonic()
    write_whole(out / "model.tflite", quantize(trained, settings))
    seconds = {"train": quantizing - started, "quantize": time.monotonic() - quantizing}
    record = describe(settings, trained, board) | {
        "seconds": {name: round(value, 2) for name, value in seconds.items()}
    }
    write_whole(out / "training.json", json.dumps(record, indent=2) + "\n")
    (out / "checkpoint.npz").unlink(missing_ok=True)
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
    out.mkdir(parents=True, exist_ok=True)
    temporary = out / ".model.keras"
    model.save(temporary)
    temporary.replace(out / "model.keras")
    return Trained(dataset, choice, model, history, cost)


def quantize(trained: Trained, settings: Settings) -> bytes:
    """The int8 ``.tflite``, with class names and the way pictures are fitted at its end."""
    data = quantized(trained.float_model, trained.dataset, settings.quantization.samples)
    return with_labels(data, trained.dataset.classes, trained.dataset.preprocess.fit)


def describe(settings: Settings, trained: Trained, board: str | None) -> dict[str, Any]:
    """Everything that is needed to train the same again, and what came of it."""
    data, choice = trained.dataset, trained.choice
    logits = predict(_forward(trained.float_model), data.test.images) if len(data.test) else None
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
        "test_accuracy": (
            None
            if logits is None
            else float(np.mean(logits.argmax(axis=1) == data.test.labels))
        ),
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
    strategy = _strategy(settings.distribute)
    with deterministic(settings.seed), _precision(settings):
        with strategy.scope():
            model = choice.build(classes, settings.seed)
            student = Student(model)
            if settings.netaug > 1:
                wide = choice.build(classes, settings.seed + 1, settings.netaug * choice.width)
                student = AugmentedStudent(model, wide)
            teacher: Teacher | None = None
            if settings.teacher not in (None, "self"):
                teacher = load_teacher(Path(str(settings.teacher)), classes)
        history = fit(student, task, teacher, reporter, strategy)
    plain = choice.build(classes, settings.seed)  # in float32, outside of any scope
    plain.set_weights(model.get_weights())
    return plain, history


@contextmanager
def deterministic(seed: int) -> Iterator[None]:
    """The same seed gives the same numbers; slower on GPUs, so only where there is none."""
    keras.utils.set_random_seed(seed)
    if not tf.config.list_physical_devices("GPU"):
        tf.config.experimental.enable_op_determinism()
    yield


@contextmanager
def _precision(settings: TrainingSettings) -> Iterator[None]:
    """float16 with float32 weights on a GPU, unless the settings say otherwise."""
    wanted = settings.mixed_precision
    if wanted is None:
        wanted = bool(tf.config.list_physical_devices("GPU"))
    before = keras.mixed_precision.dtype_policy()
    keras.mixed_precision.set_dtype_policy("mixed_float16" if wanted else "float32")
    try:
        yield
    finally:
        keras.mixed_precision.set_dtype_policy(before)


def _strategy(name: str) -> tf.distribute.Strategy:
    if name == "mirrored":
        devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
        return tf.distribute.MirroredStrategy([device.name for device in devices])
    if name == "multi-worker":
        return tf.distribute.MultiWorkerMirroredStrategy()
    return tf.distribute.get_strategy()


def _forward(model: keras.Model) -> Any:
    return tf.function(lambda images: model(images, training=False))
