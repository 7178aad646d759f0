"""The main job in one go, from pictures to ``report.html``: train, quantize, plan, build, flash,
verify, profile.

Where TensorFlow is not installed, a network trained before (``digits.tflite``, with pictures it has
never seen in ``digits.npz``) stands in for the first two.
"""

from __future__ import annotations

import importlib.util
import io
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from tinyvision import api
from tinyvision.build import Progress, build, plan
from tinyvision.errors import UserError
from tinyvision.evaluate import run_int8, test_part
from tinyvision.files import write_whole
from tinyvision.ir.types import Array
from tinyvision.report import print_plan, print_profile, profile_html
from tinyvision.settings import Settings

FOLDER = Path(__file__).parent
VIRTUAL = api.Where(virtual=True)
EPOCHS = {"digits": 24, "shapes": 12}
"""That reach what the network can, in a minute or so on two cores."""


class Stopwatch:
    """Seconds by step, in the order of the steps."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        started = time.monotonic()
        yield
        self.seconds[name] = round(time.monotonic() - started, 2)


@dataclass(frozen=True)
class Network:
    """An int8 file, pictures to test it with, and what the float network made of the same."""

    path: Path
    images: Array
    labels: Array
    float_accuracy: float | None


def run(
    board: str, out: Path, progress: Progress, console: Console, source: str = "digits"
) -> dict[str, Any]:
    """Writes ``out/train``, ``out/firmware`` (the project) and ``out/report.html``; returns what
    ``demo --json`` prints. ``console`` gets the tables. ``source``: one of ``EPOCHS``.
    """
    watch = Stopwatch()
    if source not in EPOCHS:
        raise UserError(f"there is no demo of {source!r}", hint=f"Take {' or '.join(EPOCHS)}.")
    if importlib.util.find_spec("tensorflow") is not None:
        network = _train(source, out / "train", watch, progress)
        console.print(
            f"trained on {source}: {network.float_accuracy:.1%} of the test pictures right"
        )
    else:
        network = _trained_before(source)
        console.print(
            "TensorFlow is not installed (pip install 'tinyvision\\[train]'): "
            "this demo takes a network that was trained before"
        )
    with watch.step("plan"):
        progress("planning")
        compiled = plan(network.path, board)
    print_plan(console, compiled.graph, compiled.plan, compiled.board)
    project = out / "firmware"
    with watch.step("build"):
        build(compiled, compiled.board, out=project, progress=progress)
    with watch.step("flash"):
        identity = api.flash(compiled.board, project, where=VIRTUAL, progress=progress)
    console.print(f"the virtual {board} answers: {identity['model']} {identity['hash']}")
    with watch.step("verify"):
        ran = run_int8(
            compiled,
            network.images,
            VIRTUAL,
            project,
            progress,
            lambda done: progress(f"verifying, {done} of {len(network.images)} pictures done"),
        )
    accuracy: dict[str, float | None] = {"float": network.float_accuracy}
    for name, answers in (("int8", ran.int8), ("device", ran.device)):
        assert answers is not None
        accuracy[name] = float(np.mean(answers.argmax(axis=1) == network.labels))
    console.print(
        f"{len(network.images)} pictures on the virtual {board}: {ran.mismatches} mismatches "
        f"in {ran.values} values against {ran.oracle}; {accuracy['device']:.1%} classified right"
    )
    with watch.step("profile"):
        _, profile = api.profile(
            compiled, compiled.board, where=VIRTUAL, out=project, progress=progress
        )
    print_profile(console, profile.to_json())
    report = out / "report.html"
    with watch.step("report"):
        write_whole(
            report, profile_html(compiled.graph, compiled.plan, compiled.board, profile.to_json())
        )
    console.print(f"report: {report}")
    return {
        "data": source,
        "model": str(network.path),
        "accuracy": accuracy,
        "samples": len(network.images),
        "mismatches": ran.mismatches,
        "oracle": ran.oracle,
        "plan": compiled.plan.to_json(),
        "profile": profile.to_json(),
        "report": str(report),
        "seconds": watch.seconds,
    }


def _train(source: str, out: Path, watch: Stopwatch, progress: Progress) -> Network:
    """Trains and quantizes in a process of its own."""
    settings = Settings().over(
        data={"source": source}, training={"epochs": EPOCHS[source], "seed": 1}
    )
    started = time.monotonic()
    record = api.train(settings, out, progress=progress)
    quantizing = record["seconds"]["quantize"]
    watch.seconds["train"] = round(time.monotonic() - started - quantizing, 2)
    watch.seconds["quantize"] = quantizing
    path = out / "model.tflite"
    images, labels = test_part(source, plan(path, "host").graph)
    return Network(path, images, labels, record["test_accuracy"])


def _trained_before(source: str) -> Network:
    if source != "digits":
        raise UserError(
            f"a demo of {source} needs TensorFlow", hint="pip install 'tinyvision[train]'"
        )
    with np.load(io.BytesIO((FOLDER / "digits.npz").read_bytes())) as file:
        images, labels = file["images"], file["labels"]
    return Network(FOLDER / "digits.tflite", images, labels, None)
