"""The main job in one go on a built-in network, from the model file to ``report.html``.

``digits.tflite`` and ``digits.npz`` were made by ``tools/make_demo_model.py``.
"""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from tinyvision import api
from tinyvision.build import Compiled, Progress, build, plan
from tinyvision.device.oracle import oracle_for
from tinyvision.device.run import to_input
from tinyvision.device.verify import compare, infer
from tinyvision.files import write_whole
from tinyvision.ir.types import Array
from tinyvision.report import print_plan, print_profile, profile_html

FOLDER = Path(__file__).parent
VIRTUAL = api.Where(virtual=True)


class Stopwatch:
    """Seconds by step, in the order of the steps."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        started = time.monotonic()
        yield
        self.seconds[name] = round(time.monotonic() - started, 2)


def run(board: str, out: Path, progress: Progress, console: Console) -> dict[str, Any]:
    """Plans, builds, verifies and profiles the digits network on ``board``'s virtual twin.

    Writes ``out/firmware`` (the project) and ``out/report.html``; returns what ``demo --json``
    prints. ``console`` gets the tables.
    """
    watch = Stopwatch()
    with watch.step("plan"):
        progress("planning")
        compiled = plan(FOLDER / "digits.tflite", board)
    print_plan(console, compiled.graph, compiled.plan, compiled.board)
    project = out / "firmware"
    with watch.step("build"):
        build(compiled, compiled.board, out=project, progress=progress)
    with watch.step("verify"):
        checked = _classify_digits(compiled, project, progress)
    console.print(
        f"{checked['samples']} pictures on the virtual {board}: {checked['mismatches']} mismatches "
        f"in {checked['values']} values against {checked['oracle']}; "
        f"{checked['accuracy']['device']:.1%} classified right"
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
        "accuracy": checked["accuracy"],
        "mismatches": checked["mismatches"],
        "plan": compiled.plan.to_json(),
        "profile": profile.to_json(),
        "report": str(report),
        "seconds": watch.seconds,
    }


def _classify_digits(compiled: Compiled, project: Path, progress: Progress) -> dict[str, Any]:
    """Every held-out picture through oracle and device; both must give the same bits."""
    with np.load(io.BytesIO((FOLDER / "digits.npz").read_bytes())) as file:
        images: Array = file["images"]
        labels: Array = file["labels"]
    oracle = oracle_for(compiled.model.graph, compiled.model.data)
    mismatches = values = right_int8 = right_device = 0
    with api.any_target(compiled, VIRTUAL, project, progress) as target:
        for number, (image, label) in enumerate(zip(images, labels, strict=True)):
            progress(f"verifying, {number} of {len(images)} pictures done")
            inputs = [to_input(compiled.graph, image)]
            want, got = oracle.run(inputs)[0], infer(target, inputs)[0]
            mismatches += compare(want, got)[0]
            values += want.size
            right_int8 += int(np.argmax(want) == label)
            right_device += int(np.argmax(got) == label)
    return {
        "samples": len(images),
        "values": values,
        "mismatches": mismatches,
        "oracle": oracle.name,
        "accuracy": {
            "float": None,  # the float network is not shipped, only its int8 conversion
            "int8": right_int8 / len(images),
            "device": right_device / len(images),
        },
    }
