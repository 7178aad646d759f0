"""What a training is told: the sections of ``tinyvision.toml`` as frozen dataclasses.

Every field has its unit in its name or here; a flag of the command line goes over the file, which
goes over the defaults below.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from difflib import get_close_matches
from typing import Any, TypeVar

from tinyvision.errors import UserError
from tinyvision.preprocess import FITS

AUGMENTS = ("none", "light", "medium", "strong")
DISTILLATIONS = ("response", "feature", "relation")
DISTRIBUTIONS = ("none", "mirrored", "multi-worker")


@dataclass(frozen=True)
class DataSettings:
    """``source``: a folder, a .csv or the name of a set; ``fit``: stretch or crop."""

    source: str | None = None
    fit: str = "stretch"

    def __post_init__(self) -> None:
        one_of("data.fit", self.fit, FITS)


@dataclass(frozen=True)
class ModelSettings:
    """A network of the zoo; what is None is as it is published, or fits the data."""

    name: str | None = None
    width: float | None = None
    resolution: int | None = None
    channels: int | None = None

    def __post_init__(self) -> None:
        at_least("model.width", self.width, 0.01)
        at_least("model.resolution", self.resolution, 4)
        if self.channels is not None:
            one_of("model.channels", self.channels, (1, 3))


@dataclass(frozen=True)
class TrainingSettings:
    """``warmup``: share of the steps in which the learning rate rises; ``ema``: decay of the
    averaged weights, 0 for none; ``clip``: largest norm of the gradient; ``patience``: epochs
    without a better validation accuracy before training stops, 0 for never; ``flip``: mirror
    pictures (None: unless they are digits); ``mixup``: parameter of its beta distribution;
    ``balance``: weigh classes by how rare they are; ``teacher``: a .keras file, or ``self`` for
    the student's own averaged weights; ``distill_weight``: share of the teacher in the loss;
    ``netaug``: how much wider the network is around the one that is trained, 1 for not at all.
    """

    epochs: int = 40
    batch: int = 64
    learning_rate: float = 0.004
    warmup: float = 0.1
    weight_decay: float = 0.0001
    label_smoothing: float = 0.1
    ema: float = 0.99
    clip: float = 1.0
    patience: int = 0
    augment: str = "light"
    flip: bool | None = None
    mixup: float = 0.0
    balance: bool = True
    seed: int = 0
    mixed_precision: bool | None = None
    distribute: str = "none"
    teacher: str | None = None
    distill: str = "response"
    distill_weight: float = 0.7
    temperature: float = 3.0
    netaug: float = 1.0

    def __post_init__(self) -> None:
        at_least("training.epochs", self.epochs, 1)
        at_least("training.batch", self.batch, 1)
        at_least("training.learning_rate", self.learning_rate, 1e-8)
        at_least("training.clip", self.clip, 1e-6)
        at_least("training.patience", self.patience, 0)
        at_least("training.temperature", self.temperature, 0.01)
        at_least("training.netaug", self.netaug, 1)
        at_least("training.mixup", self.mixup, 0)
        at_least("training.weight_decay", self.weight_decay, 0)
        for name in ("warmup", "label_smoothing", "ema", "distill_weight"):
            value = getattr(self, name)
            if not 0 <= value < 1 and not (name == "distill_weight" and value == 1):
                raise UserError(f"training.{name} is {value}, not a share of 1")
        one_of("training.augment", self.augment, AUGMENTS)
        one_of("training.distill", self.distill, DISTILLATIONS)
        one_of("training.distribute", self.distribute, DISTRIBUTIONS)


@dataclass(frozen=True)
class QuantizationSettings:
    """``qat``: train on with simulated int8 for ``qat_epochs``; ``samples`` calibrate ranges."""

    qat: bool = False
    qat_epochs: int = 8
    samples: int = 256

    def __post_init__(self) -> None:
        at_least("quantization.qat_epochs", self.qat_epochs, 1)
        at_least("quantization.samples", self.samples, 1)


@dataclass(frozen=True)
class BudgetSettings:
    """What the int8 network may take on the board: sizes as ``64K`` or in bytes, ``50ms``."""

    sram: str | int | None = None
    flash: str | int | None = None
    latency: str | None = None

    def __post_init__(self) -> None:
        size_bytes("budget.sram", self.sram)
        size_bytes("budget.flash", self.flash)
        time_ms("budget.latency", self.latency)

    @property
    def sram_bytes(self) -> int | None:
        return size_bytes("budget.sram", self.sram)

    @property
    def flash_bytes(self) -> int | None:
        return size_bytes("budget.flash", self.flash)

    @property
    def latency_ms(self) -> float | None:
        return time_ms("budget.latency", self.latency)


@dataclass(frozen=True)
class Settings:
    """All of it."""

    data: DataSettings = field(default_factory=DataSettings)
    model: ModelSettings = field(default_factory=ModelSettings)
    training: TrainingSettings = field(default_factory=TrainingSettings)
    quantization: QuantizationSettings = field(default_factory=QuantizationSettings)
    budget: BudgetSettings = field(default_factory=BudgetSettings)

    def to_json(self) -> dict[str, dict[str, Any]]:
        return asdict(self)

    def over(self, **sections: Mapping[str, Any]) -> Settings:
        """With other values for the fields of ``sections`` that are not None there."""
        table = self.to_json()
        for section, values in sections.items():
            table[section] |= {key: value for key, value in values.items() if value is not None}
        return parse(table)


SECTIONS = tuple(entry.name for entry in fields(Settings))


def parse(tables: Mapping[str, Any], where: str = "") -> Settings:
    """``Settings`` of the TOML tables among ``SECTIONS``; UserError for what is none of them or of
    another type, with the nearest name.
    """
    types_by_section = typing.get_type_hints(Settings)
    return Settings(
        **{name: _section(types_by_section[name], name, tables.get(name, {}), where)
           for name in SECTIONS}
    )  # fmt: skip


T = TypeVar("T")


def _section(kind: type[T], name: str, table: Any, where: str) -> T:
    if not isinstance(table, dict):
        raise UserError(f"[{name}] is no table", where)
    hints = typing.get_type_hints(kind)
    for key, value in table.items():
        check_key(key, hints, name, where)
        _check_type(f"{name}.{key}", value, hints[key], where)
    return kind(**table)


def check_key(key: str, known: typing.Collection[str], section: str, where: str) -> None:
    """UserError for a key that is not among ``known``, with the nearest of them."""
    if key not in known:
        near = get_close_matches(key, known, 1)
        hint = f"Did you mean {near[0]}?" if near else f"Known: {', '.join(known)}."
        what = f"unknown key {key!r} in [{section}]" if section else f"unknown section [{key}]"
        raise UserError(what, where, hint=hint)


def _check_type(name: str, value: Any, hint: Any, where: str) -> None:
    union = isinstance(hint, types.UnionType)
    allowed = typing.get_args(hint) if union else (hint,)
    if float in allowed:
        allowed = (*allowed, int)
    if not isinstance(value, allowed) or (isinstance(value, bool) and bool not in allowed):
        words = {str: "a text", int: "a whole number", float: "a number", bool: "true or false"}
        wanted = " or ".join(words[kind] for kind in allowed if kind in words)
        raise UserError(f"{name} is {value!r}, not {wanted}", where)


def one_of(name: str, value: Any, choices: tuple[Any, ...]) -> None:
    if value not in choices:
        raise UserError(f"{name} is {value!r}", hint=f"Take {', '.join(map(str, choices))}.")


def at_least(name: str, value: float | None, least: float) -> None:
    if value is not None and not value >= least:
        raise UserError(f"{name} is {value}, less than {least:g}")


def size_bytes(name: str, value: str | int | None) -> int | None:
    """``65536``, ``64K``, ``64KB`` or ``1M`` (of 1024) in bytes."""
    if value is None or isinstance(value, int):
        return value
    digits, unit = value.strip().upper().removesuffix("B"), 1
    if digits and digits[-1] in "KM":
        unit = 1024 if digits[-1] == "K" else 1024 * 1024
        digits = digits[:-1]
    if not digits.isdecimal():
        raise UserError(f"{name} is {value!r}", hint="Write 65536, 64K or 1M.")
    return int(digits) * unit


def time_ms(name: str, value: str | None) -> float | None:
    """``50ms``, ``0.05s`` or ``50`` in milliseconds."""
    if value is None:
        return None
    text = value.strip().lower()
    factor = 1.0
    if text.endswith("ms"):
        text = text[:-2]
    elif text.endswith("s"):
        text, factor = text[:-1], 1000.0
    try:
        return float(text) * factor
    except ValueError:
        raise UserError(f"{name} is {value!r}", hint="Write 50ms or 0.05s.") from None
