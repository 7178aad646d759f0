"""A training and an evaluation as text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

MOST_CLASSES = 12
"""Of a confusion matrix that still fits a terminal."""


def print_training(console: Console, record: Mapping[str, Any], out: str) -> None:
    """What ``train`` gives."""
    data, cost = record["data"], record["cost"]
    console.print(
        f"{escape(record['network'])}: {record['parameters']:,} parameters, trained with "
        f"{data['train']:,} pictures of {escape(data['source'])}",
        highlight=False,
    )
    if cost is not None:
        latency = cost["latency_ms"]
        time = f", {latency:.2f} ms (estimated)" if latency is not None else ""
        console.print(
            f"on {escape(record['board'])}: {cost['sram_bytes']:,} bytes of SRAM, "
            f"{cost['flash_bytes']:,} of flash{time}",
            highlight=False,
        )
    if record["test_accuracy"] is not None:
        console.print(f"float accuracy on {data['test']:,} pictures never seen: "
                      f"{record['test_accuracy']:.1%}", highlight=False)  # fmt: skip
    if record["qat_test_accuracy"] is not None:
        console.print(f"with simulated int8: {record['qat_test_accuracy']:.1%}", highlight=False)
    console.print(f"wrote {escape(out)}", highlight=False)


def print_evaluation(console: Console, result: Mapping[str, Any]) -> None:
    """What ``evaluate`` gives."""
    table = Table(
        title=f"{result['samples']} pictures of {escape(result['data'])}", title_justify="left"
    )
    shares = {name: share for name, share in result["accuracy"].items() if share is not None}
    for name in shares:
        table.add_column(name, justify="right")
    table.add_row(*(f"{share:.2%}" for share in shares.values()))
    console.print(table)
    if result["target"] is not None:
        console.print(
            f"{result['mismatches']} mismatches in {result['values']:,} values between "
            f"{result['target']} and {result['oracle']}",
            highlight=False,
        )
    classes = Table()
    for column in ("class", "precision", "recall", "F1", "samples"):
        classes.add_column(column, justify="left" if column == "class" else "right")
    for row in result["per_class"]:
        figures = [row["precision"], row["recall"], row["f1"]]
        texts = ["-" if figure is None else f"{figure:.3f}" for figure in figures]
        classes.add_row(escape(row["class"]), *texts, str(row["samples"]))
    console.print(classes)
    if len(result["classes"]) <= MOST_CLASSES:
        matrix = Table(title="answered, for each class", title_justify="left")
        matrix.add_column("is")
        for name in result["classes"]:
            matrix.add_column(escape(name), justify="right")
        for name, row in zip(result["classes"], result["confusion"], strict=True):
            matrix.add_row(escape(name), *(str(count) if count else "." for count in row))
        console.print(matrix)
