"""The command line: one thin function a command over the library.

Exit codes: 0 success, 1 a user's error or a check that failed (one message on stderr), 2 wrong
usage, 130 after Ctrl-C. With ``--json`` stdout holds one JSON object and nothing else.
"""

from __future__ import annotations

import errno
import logging
import sys
from io import TextIOWrapper
from typing import Annotated, NoReturn

import typer
from rich.markup import escape

from tinyvision import __version__
from tinyvision.cli.common import app, console, errors
from tinyvision.errors import UserError

# Importing them registers their commands, in the order of `tinyvision --help`.
from tinyvision.cli import (  # noqa: F401  # isort: skip
    setting_up,
    networks,
    training,
    quantizing,
    compiling,
    running,
    showing,
)

INTERRUPTED = 130
NO_FAULT_OF_OURS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)
"""Errors of the operating system that any write may meet."""


def show_version(wanted: bool) -> None:
    if wanted:
        console.print(f"tinyvision {__version__}", highlight=False)
        raise typer.Exit


@app.callback()
def options(
    verbose: Annotated[
        int, typer.Option("--verbose", "-v", count=True, help="More detail; twice for all of it.")
    ] = 0,
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", callback=show_version, is_eager=True),
    ] = False,
) -> None:
    level = (logging.WARNING, logging.INFO, logging.DEBUG)[min(verbose, 2)]
    logging.basicConfig(level=level, stream=sys.stderr, format="%(name)s: %(message)s")


def main() -> None:
    """Runs the command line; turns a user's errors into one message and exit code 1."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # no locale is too poor for a path or a table
            stream.reconfigure(errors="replace")
    try:
        app()
    except UserError as error:
        fail(str(error))
    except OSError as error:
        if error.errno not in NO_FAULT_OF_OURS:
            raise
        fail(f"{error.filename or 'output'}: {error.strerror}")
    except SystemExit as end:
        if end.code == INTERRUPTED:  # Typer has caught the KeyboardInterrupt
            errors.print("interrupted")
        raise


def fail(message: str) -> NoReturn:
    errors.print(f"[red]error:[/] {escape(message)}", soft_wrap=True, highlight=False)
    sys.exit(1)
