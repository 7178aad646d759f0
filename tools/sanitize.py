"""Runs models on a virtual board under every schedule with each access to memory watched.

    python -m tools.sanitize MODEL... [--board NAME]

Prints a line for each model and schedule; ends with 1 where outputs differ from the oracle's or an
access is wrong.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from tinyvision import api

SCHEDULES = {"layer": False, "stream": False, "stream, rows pushed": True, "patch": False}
"""Names, and whether the input comes in rows."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="+", type=Path)
    parser.add_argument("--board", default="stm32h7")
    options = parser.parse_args()
    bad = 0
    for model in options.models:
        for name, rows in SCHEDULES.items():
            start = time.perf_counter()
            result = sanitized(model, options.board, name.split(",")[0], rows)
            seconds = time.perf_counter() - start
            wrong = [f"{result['mismatches']} values differ"] if result["mismatches"] else []
            wrong += result["findings"]
            bad += bool(wrong)
            print(f"{model.stem}, {name}: {'equal' if not wrong else 'WRONG'}, {seconds:.0f} s")
            print("".join(f"  {line}\n" for line in wrong), end="", flush=True)
    sys.exit(bool(bad))


def sanitized(model: Path, board: str, schedule: str, rows: bool) -> dict[str, object]:
    """One random input; the keys of ``verify --json``."""
    with TemporaryDirectory(prefix="tinyvision-sanitize-") as out:
        return api.verify(
            model,
            board,
            where=api.Where(virtual=True),
            samples=1,
            schedule_kind=schedule,
            input_rows=rows,
            out=Path(out),
            sanitize=True,
        )


if __name__ == "__main__":
    main()
