"""The geometry of the memory map: steps to the right, bytes upwards, a panel a bank."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from tinyvision.report.text import shape_text, short_name, size_text
from tinyvision.schedule.plan import BankUse, Buffer, Plan

LEFT, RIGHT, TOP, LABELS = 66.0, 22.0, 74.0, 132.0
PLOT_WIDTH, PLOT_HEIGHT = 1060.0, 400.0
NARROWEST, WIDEST = 15.0, 84.0
LEAST_PANEL, BETWEEN_PANELS = 56.0, 40.0
THINNEST = 2.5
CHARACTER, LINE = 6.4, 13.0
"""Width and height that a character of the labels takes, in pixels; generous."""


@dataclass(frozen=True)
class Label:
    """Text centred at ``x``, ``y``; ``upright`` is turned by a quarter."""

    text: str
    x: float
    y: float
    upright: bool = False


@dataclass(frozen=True)
class Box:
    """One buffer: its rectangle, its class of colour, what is written on it, and its tooltip."""

    x: float
    y: float
    width: float
    height: float
    kind: str
    tooltip: str
    label: Label | None


@dataclass(frozen=True)
class Tick:
    y: float
    text: str


@dataclass(frozen=True)
class Panel:
    """One bank: ``top`` is the height of its last used byte, ``bottom`` that of byte 0."""

    title: str
    top: float
    bottom: float
    ticks: tuple[Tick, ...]
    boxes: tuple[Box, ...]


@dataclass(frozen=True)
class Column:
    """One step; ``peak`` where most bytes are alive."""

    x: float
    middle: float
    number: str
    text: str
    tooltip: str
    peak: bool


class MemoryMap:
    """All shapes of the drawing of one plan, in pixels."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.count = len(plan.steps) + 2
        self.column_width = min(WIDEST, max(NARROWEST, PLOT_WIDTH / self.count))
        self.left = LEFT
        self.right = LEFT + self.count * self.column_width
        self.width = self.right + RIGHT
        self.top = TOP
        self.bottom = self.panels[-1].bottom if self.panels else TOP
        self.height = self.bottom + LABELS

    def step_x(self, step: float) -> float:
        """Left edge of ``step`` (-1 is the inputs' column)."""
        return self.left + (step + 1) * self.column_width

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        live = self.plan.live_bytes
        columns = []
        for step in range(-1, self.count - 1):
            if 0 <= step < len(self.plan.steps):
                this = self.plan.steps[step]
                number, text = str(step), this.kind or this.op
                tooltip = f"{step}: {this.op} ({this.kernel.variant}), "
            else:
                number, text = "", "input" if step < 0 else "output"
                tooltip = f"{text}, "
            tooltip += f"{size_text(live[step + 1])} alive"
            x = self.step_x(step)
            peak = live[step + 1] == max(live)
            columns.append(Column(x, x + self.column_width / 2, number, text, tooltip, peak))
        return tuple(columns)

    @cached_property
    def panels(self) -> tuple[Panel, ...]:
        used = [bank for bank in self.plan.banks if bank.used_bytes]
        total = sum(bank.used_bytes for bank in used)
        panels = []
        top = TOP
        for bank in used:
            height = max(LEAST_PANEL, PLOT_HEIGHT * bank.used_bytes / total)
            panels.append(self._panel(bank, top, top + height))
            top += height + BETWEEN_PANELS
        return tuple(panels)

    def _panel(self, bank: BankUse, top: float, bottom: float) -> Panel:
        scale = (bottom - top) / bank.used_bytes
        mine = [b for b in self.plan.buffers.values() if b.bank == bank.name]
        boxes = [self._box(buffer, mine, bottom, scale) for buffer in mine]
        step = _tick_bytes(bank.used_bytes, (bottom - top) / 30)
        ticks = (Tick(bottom - at * scale, size_text(at)) for at in range(0, bank.used_bytes, step))
        title = f"{bank.name}: {size_text(bank.used_bytes)} of {size_text(bank.size_bytes)}"
        return Panel(title, top, bottom, tuple(ticks), tuple(boxes))

    def _box(self, buffer: Buffer, others: Iterable[Buffer], bottom: float, scale: float) -> Box:
        """A buffer that overlaps another within a step shares the step's column with it."""
        start, end = float(buffer.first_step), float(buffer.last_step + 1)
        for other in others:
            if not (other.offset < buffer.end and buffer.offset < other.end):
                continue
            if other.last_step == buffer.first_step > other.first_step:
                start = buffer.first_step + 0.5
            if other.first_step == buffer.last_step > buffer.first_step:
                end = buffer.last_step + 0.5
        x, width = self.step_x(start), (end - start) * self.column_width
        height = max(THINNEST, buffer.size_bytes * scale)
        y = bottom - buffer.offset * scale - height
        what = "scratch" if buffer.is_scratch else f"{shape_text(buffer.shape)} {_dtype(buffer)}"
        tooltip = (
            f"{buffer.name}: {what}, {buffer.size_bytes} bytes at {buffer.bank} "
            f"{buffer.offset} to {buffer.end}"
        )
        label = _label(buffer, x, y, width, height)
        return Box(x, y, width, height, self._kind(buffer), tooltip, label)

    def _kind(self, buffer: Buffer) -> str:
        if buffer.is_scratch:
            return "scratch"
        if buffer.first_step < 0:
            return "input"
        if buffer.last_step == len(self.plan.steps):
            return "output"
        return "odd" if buffer.first_step % 2 else "even"


def _dtype(buffer: Buffer) -> str:
    return buffer.dtype.value if buffer.dtype else ""


def _label(buffer: Buffer, x: float, y: float, width: float, height: float) -> Label | None:
    """The most telling text that fits, lying or standing."""
    size = size_text(buffer.size_bytes)
    if buffer.is_scratch:
        texts = [f"scratch {size}", "scratch"]
    else:
        shape = shape_text(buffer.shape)
        texts = [f"{short_name(buffer.name, 40)} {shape} {size}", f"{shape} · {size}", shape]
    middle = (x + width / 2, y + height / 2)
    for text in texts:
        length = len(text) * CHARACTER + 6
        if length <= width and height >= LINE:
            return Label(text, *middle)
        if length <= height and width >= LINE:
            return Label(text, *middle, upright=True)
    return None


def _tick_bytes(used_bytes: int, ticks: float) -> int:
    """A round distance of ticks, of about ``ticks`` over all."""
    wanted = used_bytes / max(2.0, ticks)
    unit = 1
    while True:
        for factor in (1, 2, 5):
            if factor * unit >= wanted:
                return factor * unit
        unit *= 10
