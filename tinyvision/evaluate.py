"""How right a network is on the same pictures in every form it has: float, int8, on the device."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tinyvision import api
from tinyvision.build import Compiled, Progress, plan, silent
from tinyvision.device.oracle import oracle_for
from tinyvision.device.run import to_input
from tinyvision.device.target import Target
from tinyvision.device.verify import compare, infer
from tinyvision.errors import UserError
from tinyvision.ir.graph import Graph
from tinyvision.ir.types import Array
from tinyvision.preprocess import Preprocess
from tinyvision.train.data import Dataset, load


@dataclass(frozen=True)
class Run:
    """Answers to the same pictures, a row each: of the oracle, and of the device where there is
    one. ``values`` were compared, ``mismatches`` of them differ, in the pictures ``different``.
    """

    oracle: str
    int8: Array
    device: Array | None
    target: str | None
    values: int
    mismatches: int
    different: tuple[int, ...]


def run_int8(
    compiled: Compiled,
    images: Array,
    where: api.Where | None,
    out: Path | None = None,
    progress: Progress = silent,
    done: Callable[[int], None] = lambda count: None,
) -> Run:
    """Every picture (``uint8[n, h, w, c]``) through the oracle and, with ``where``, a device."""
    oracle = oracle_for(compiled.model.graph, compiled.model.data)
    wanted, got, different = [], [], []
    values = mismatches = 0
    place: AbstractContextManager[Target | None] = nullcontext()
    if where is not None:
        place = api.any_target(compiled, where, out, progress)
    with place as target:
        for index, image in enumerate(images):
            inputs = [to_input(compiled.graph, image)]
            want = oracle.run(inputs)[0]
            wanted.append(want.reshape(-1))
            if target is not None:
                answer = infer(target, inputs)[0]
                count, _ = compare(want, answer)
                values, mismatches = values + want.size, mismatches + count
                different += [index] if count else []
                got.append(answer.reshape(-1))
            done(index + 1)
        kind = target.kind if target is not None else None
    device = np.array(got) if got else None
    return Run(oracle.name, np.array(wanted), device, kind, values, mismatches, tuple(different))


def evaluate(
    model: Path,
    board: str,
    *,
    source: str | None = None,
    float_model: Path | None = None,
    where: api.Where | None = None,
    samples: int | None = None,
    out: Path | None = None,
    progress: Progress = silent,
    done: Callable[[int, int], None] = lambda count, total: None,
) -> dict[str, Any]:
    """Accuracy of ``model`` (int8) on the test part of ``source``, by default of what it was
    trained with, or its first ``samples``; with the keys that ``evaluate --json`` prints.

    ``float_model``: a ``.keras`` file, by default the one beside ``model``; it and the network
    trained with simulated int8 need TensorFlow.
    """
    compiled = plan(model, board)
    graph = compiled.graph
    progress("reading pictures")
    dataset = _read(source or _source_of(model), graph)
    images = dataset.test.images[:samples]
    labels = _in_model(graph, dataset.classes)[dataset.test.labels[:samples]]
    ran = run_int8(compiled, images, where, out, progress, lambda count: done(count, len(images)))
    answers: dict[str, Array | None] = {"float": None, "qat": None}
    answers |= {"int8": ran.int8, "device": ran.device}
    if float_model is not None and not float_model.is_file():
        raise UserError("there is no such file", str(float_model))
    simulated = model.with_suffix(".qat.keras")
    for name, path in (("float", float_model or model.with_suffix(".keras")), ("qat", simulated)):
        if path.is_file():
            progress(f"running the {name} network")
            answers[name] = _float_answers(path, images)
    classes = graph.labels or dataset.classes
    judged = ran.device if ran.device is not None else ran.int8
    return {
        "model": str(model),
        "data": dataset.name,
        "data_sha256": dataset.hash,
        "skipped": list(dataset.skipped),
        "samples": len(images),
        "accuracy": {
            name: None if given is None else float(np.mean(given.argmax(axis=1) == labels))
            for name, given in answers.items()
        },
        "oracle": ran.oracle,
        "target": ran.target,
        "values": ran.values,
        "mismatches": ran.mismatches,
        "different_images": list(ran.different),
        **score(labels, judged.argmax(axis=1), classes),
    }


def test_part(source: str, graph: Graph) -> tuple[Array, Array]:
    """Pictures of the test part of ``source`` as ``graph`` takes them, and what they are in it."""
    dataset = _read(source, graph)
    return dataset.test.images, _in_model(graph, dataset.classes)[dataset.test.labels]


def _read(source: str, graph: Graph) -> Dataset:
    shape = graph.tensor(graph.inputs[0]).shape
    if len(graph.inputs) != 1 or len(shape) != 4 or shape[3] not in (1, 3):
        raise UserError("the model takes no pictures", graph.name)
    dataset = load(source, Preprocess(*shape[1:], fit=graph.fit))
    if not len(dataset.test):
        raise UserError("there are no pictures to test with", dataset.name)
    return dataset


def score(labels: Array, answers: Array, classes: Sequence[str]) -> dict[str, Any]:
    """``confusion[is][answered]``, and for each class precision, recall, F1 and its samples; None
    for what would be a division by zero.
    """
    count = len(classes)
    confusion = np.bincount(labels * count + answers, minlength=count * count)
    confusion = confusion[: count * count].reshape(count, count)
    rows = []
    for index, name in enumerate(classes):
        right, said, is_so = confusion[index, index], confusion[:, index].sum(), confusion[index]
        rows.append(
            {
                "class": name,
                "precision": _share(right, said),
                "recall": _share(right, is_so.sum()),
                "f1": _share(2 * right, said + is_so.sum()),
                "samples": int(is_so.sum()),
            }
        )
    return {"classes": list(classes), "confusion": confusion.tolist(), "per_class": rows}


def _share(part: Any, whole: Any) -> float | None:
    return float(part / whole) if whole else None


def _source_of(model: Path) -> str:
    """What the training beside a model file was of."""
    path = model.parent / "training.json"
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["data"]["source"])
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(
            "it is not known which pictures to test with", str(model), hint="Name them with --data."
        ) from None


def _in_model(graph: Graph, classes: Sequence[str]) -> Array:
    """For each class of the data its number in the model: by name where the model has names."""
    outputs = graph.tensor(graph.outputs[0]).elements
    names = list(graph.labels)
    if names and set(classes) <= set(names):
        return np.array([names.index(name) for name in classes])
    if len(classes) > outputs or names:
        what = f"the data has the classes {', '.join(classes[:6])}..., the model {outputs} others"
        raise UserError("the model does not tell these pictures apart", graph.name, what)
    return np.arange(len(classes))


def _float_answers(path: Path, images: Array) -> Array:
    from tinyvision.train.needs import require_tensorflow

    require_tensorflow()
    from tinyvision.train.loop import predict_file

    return predict_file(path, images)
