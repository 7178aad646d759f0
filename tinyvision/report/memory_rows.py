"""The memory map in characters: each step a row, each column an equal share of the bytes."""

from __future__ import annotations

from rich.text import Text

from tinyvision.schedule.plan import BankUse, Buffer, Plan

FREE, KEPT, READ, WRITTEN, BOTH, SCRATCH = "·", "░", "▒", "█", "▓", "s"

STYLES = {
    FREE: "dim",
    KEPT: "blue",
    READ: "cyan",
    WRITTEN: "green",
    BOTH: "bold green",
    SCRATCH: "yellow",
}
LEGEND = (
    (READ, "read"),
    (WRITTEN, "written"),
    (BOTH, "written over"),
    (KEPT, "kept"),
    (SCRATCH, "scratch"),
    (FREE, "free"),
)


def bank_columns(plan: Plan, width: int) -> list[tuple[BankUse, int]]:
    """The banks in use, each with its share of ``width`` characters less what separates them."""
    used = [bank for bank in plan.banks if bank.used_bytes]
    total = sum(bank.used_bytes for bank in used)
    room = width - len(used) + 1
    return [(bank, max(1, room * bank.used_bytes // total)) for bank in used]


def memory_header(plan: Plan, width: int) -> str:
    """The banks' names above their columns."""
    banks = bank_columns(plan, width)
    if len(banks) == 1:
        return f"{banks[0][0].name}, low addresses left"[:width]
    return "│".join(bank.name[:columns].ljust(columns) for bank, columns in banks)


def memory_row(plan: Plan, step: int, width: int) -> Text:
    """What ``step`` does with the bytes of each bank in use, low addresses left."""
    row = Text()
    for index, (bank, columns) in enumerate(bank_columns(plan, width)):
        if index:
            row.append("│", "dim")
        alive = [b for b in plan.buffers.values() if b.bank == bank.name and b.alive(step)]
        for column in range(columns):
            middle = (column + 0.5) * bank.used_bytes / columns
            cell = _cell(plan, step, [b for b in alive if b.offset <= middle < b.end])
            row.append(cell, STYLES[cell])
    return row


def _cell(plan: Plan, step: int, here: list[Buffer]) -> str:
    """What happens to one byte that ``here`` occupy."""
    if not here:
        return FREE
    if any(buffer.is_scratch for buffer in here):
        return SCRATCH
    running = plan.steps[step] if 0 <= step < len(plan.steps) else None
    names = {buffer.name for buffer in here}
    if running is None:
        return WRITTEN if step < 0 else READ
    read, written = names & set(running.inputs), names & set(running.outputs)
    if read and written:
        return BOTH
    return READ if read else WRITTEN if written else KEPT


def legend() -> Text:
    text = Text()
    for index, (cell, meaning) in enumerate(LEGEND):
        text.append("  " if index else "")
        text.append(cell, STYLES[cell])
        text.append(f" {meaning}")
    return text
