"""Writes the table of docs/zoo.md: figures of every network of the zoo on one board.

Usage: python tools/zoo_table.py [BOARD]   (default stm32h7; a quarter of an hour the first time)
"""

from __future__ import annotations

import sys
from pathlib import Path

from tinyvision import zoo
from tinyvision.catalogue import rows
from tinyvision.report import ZOO_HEADINGS, zoo_cells
from tinyvision.target import load_board

PAGE = Path(__file__).parent.parent / "docs" / "zoo.md"
BEGIN, END = "<!-- table: python tools/zoo_table.py -->\n", "<!-- end of table -->\n"


def main(board: str = "stm32h7") -> None:
    found = rows(zoo.names(), load_board(board), False, lambda name: print(name, file=sys.stderr))
    lines = [
        ("| " + " | ".join(cells) + " |\n") for cells in (ZOO_HEADINGS, *map(zoo_cells, found))
    ]
    lines.insert(1, "|---|" + "---:|" * (len(ZOO_HEADINGS) - 1) + "\n")
    before, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
    after = rest.split(END)[1]
    PAGE.write_text(before + BEGIN + "".join(lines) + END + after, encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
