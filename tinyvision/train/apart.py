"""A training in a process of its own.

TensorFlow takes seconds to load and hundreds of megabytes, and tflite-runtime, the oracle of what
comes after training, crashes beside it: so the rest of a program need not have it.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from tinyvision.errors import ToolError, UserError
from tinyvision.settings import Settings


def train_apart(
    settings: Settings,
    out: Path,
    progress: Callable[[str], None],
    board: str | None = None,
    resume: bool = False,
) -> dict[str, Any]:
    """What ``trainer.train`` gives, and its UserErrors; ToolError where its process dies."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(
        target=_child, args=(sender, settings, out, board, resume), daemon=True
    )
    process.start()
    sender.close()
    try:
        while True:
            kind, value = receiver.recv()
            if kind == "progress":
                progress(value)
            elif kind == "error":
                raise UserError(value)
            else:
                return dict(value)
    except EOFError:
        process.join()
        raise ToolError(
            "the training ended without a result", why=f"exit code {process.exitcode}"
        ) from None
    finally:
        process.kill()
        process.join()


class _Sender:
    """Reports in words."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    def say(self, text: str) -> None:
        self._pipe.send(("progress", text))

    warn = say

    def reading(self, done: int, total: int) -> None: ...

    def step(self, done: int, total: int, text: str) -> None:
        self.say(f"training, {done} of {total} steps{f': {text}' if text else ''}")


def _child(
    pipe: Connection, settings: Settings, out: Path, board: str | None, resume: bool
) -> None:
    from tinyvision.train.needs import require_tensorflow

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's, which ends this one
    try:
        require_tensorflow()
        from tinyvision.train.trainer import train

        record = train(settings, out, board=board, resume=resume, reporter=_Sender(pipe))
        pipe.send(("done", record))
    except UserError as error:
        pipe.send(("error", str(error)))
