"""The command line in processes of its own, forked from one that has loaded it already."""

from __future__ import annotations

import os
import sys
from multiprocessing import get_context
from multiprocessing.forkserver import ensure_running
from pathlib import Path
from subprocess import CompletedProcess
from tempfile import TemporaryDirectory
from unittest.mock import patch

PRELOADED = ["tinyvision.__main__", "tinyvision.cli", "tinyvision.api", "tinyvision.report"]


def command(*arguments: object, cwd: Path | None = None) -> CompletedProcess[str]:
    """Runs the program as a user would, wide enough that no message is wrapped."""
    with TemporaryDirectory(prefix="tinyvision-command-") as folder:
        out, errors = Path(folder) / "out", Path(folder) / "errors"
        words = [str(argument) for argument in arguments]
        process = _context().Process(target=_run, args=(words, cwd or Path.cwd(), out, errors))
        process.start()
        process.join()
        assert process.exitcode is not None
        texts = (path.read_text("utf-8") for path in (out, errors))
        return CompletedProcess(words, process.exitcode, *texts)


def _context():
    """What is forked from keeps the variables it was started with."""
    context = get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    with patch.dict(os.environ, COLUMNS="400", NO_COLOR="1"):
        ensure_running()
    return context


def _run(words: list[str], cwd: Path, out: Path, errors: Path) -> None:
    os.chdir(cwd)
    for number, path in ((1, out), (2, errors)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), number)
    sys.argv = ["tinyvision", *words]
    from tinyvision.__main__ import main

    main()
