"""The C functions of a network's kernels: a set of its own for each context, or shared."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from tinyvision.codegen.fields import as_fields, members
from tinyvision.codegen.instances.instance import Instance, Value
from tinyvision.codegen.render import checked_context, render_kernel

Context = tuple[tuple[str, Value], ...]
Key = tuple[str, Context]
"""A template, and what it is rendered with."""

NARROW = (("int16_t", -(2**15), 2**15), ("uint16_t", 0, 2**16))
"""Types of a structure's members besides int32_t, and the values they hold."""


@dataclass(frozen=True)
class Function:
    """What a layer calls, and the arguments that come after those of its instance."""

    name: str
    further: tuple[str, ...] = ()


AddKernel = Callable[[str, Instance], Function]
"""Renders a template for an instance, or finds that done."""


@dataclass(frozen=True)
class Shapes:
    """What differs between the layers that share functions of ``template``: the members of a
    structure, each with its C type, and their values for each context.
    """

    template: str
    members: tuple[tuple[str, str], ...]
    rows: tuple[tuple[int, ...], ...]


class Functions:
    """Every context of a template has functions of its own, in which its integers stand."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.shapes: tuple[Shapes, ...] = ()
        self.varying: dict[Key, tuple[str, ...]] = {}
        """By what was added, the entries of its context that may be run-time values."""
        self._functions: dict[Key, Function] = {}

    def add(self, template: str, instance: Instance) -> Function:
        """The function of ``template`` for the context of ``instance``."""
        checked = checked_context(instance.context)
        key = (template, tuple(sorted(checked.items())))
        if key not in self._functions:
            self.varying[key] = instance.varying
            self._functions[key] = self._define(key)
        return self._functions[key]

    def _define(self, key: Key) -> Function:
        return self._own(key, sum(template == key[0] for template, _ in self._functions))

    def _own(self, key: Key, number: int) -> Function:
        name = f"tv_{key[0]}_{number}"
        self.texts.append(render_kernel(key[0], name, dict(key[1])))
        return Function(name)


@dataclass(frozen=True)
class _Part:
    """A function of a kernel, and what only it calls: ``stem`` + ``suffix`` is its name, ``stem``
    what the names of a whole kernel begin with.
    """

    stem: str
    suffix: str
    text: str


class SharedFunctions(Functions):
    """Functions that come out equal for several contexts, once their ``varying`` integers are read
    at run time, are one.

    ``known`` has everything that will be added. An integer that is the same in all contexts of a
    template stays in the text; a context that would share nothing has functions of its own.
    """

    def __init__(self, known: Functions) -> None:
        super().__init__()
        self._keys = list(known.varying)
        rendered: dict[Key, list[tuple[str, str]]] = {}
        for template in _templates(self._keys):
            keys = [key for key in self._keys if key[0] == template]
            if names := _differing(keys, known.varying):
                rendered |= {key: _render(key, names) for key in keys}
        parts = self._parts(rendered)
        uses = Counter(part for own in parts.values() for part in own)
        sharing = [key for key, own in parts.items() if any(uses[part] > 1 for part in own)]
        self._shared = self._parts({key: rendered[key] for key in sharing})
        self.shapes = tuple(self._table(template) for template in _templates(self._shared))
        self._defined: set[_Part] = set()

    def _define(self, key: Key) -> Function:
        if key not in self._shared:
            return self._own(key, self._number(key))
        parts = self._shared[key]
        self.texts += [part.text for part in parts if part not in self._defined]
        self._defined.update(parts)
        row = [known for known in self._shared if known[0] == key[0]].index(key)
        return Function(parts[-1].stem, (f"&tv_{key[0]}_shapes[{row}]",))

    def _number(self, key: Key) -> int:
        return [known for known in self._keys if known[0] == key[0]].index(key)

    def _parts(self, rendered: Mapping[Key, list[tuple[str, str]]]) -> dict[Key, list[_Part]]:
        """The parts of each kernel. Those that are equal and call equal ones are the same; they
        have the number of the first kernel with them.
        """
        found: dict[tuple[str, str], _Part] = {}
        kernels: dict[Key, list[_Part]] = {}
        for key, texts in rendered.items():
            stem = f"tv_{key[0]}_{self._number(key)}"
            unnamed = _unnamed(key[0])
            parts = kernels[key] = []
            for suffix, text in texts:
                for part in parts:
                    called = unnamed + part.suffix
                    text = re.sub(rf"\b{called}\b", part.stem + part.suffix, text)
                own = _Part(stem, suffix, text.replace(unnamed, stem))
                parts.append(found.setdefault((suffix, text), own))
        return kernels

    def _table(self, template: str) -> Shapes:
        keys = [key for key in self._shared if key[0] == template]
        texts = "".join(part.text for key in keys for part in self._shared[key])
        read = dict.fromkeys(re.findall(r"\bk\.(\w+)", texts))
        values = [
            {k: v for name, value in context for k, v in members(value, name).items()}
            for _, context in keys
        ]
        rows = tuple(tuple(row.get(name, 0) for name in read) for row in values)
        types = [_c_type(column) for column in zip(*rows, strict=True)]
        return Shapes(template, tuple(zip(read, types, strict=True)), rows)


def _templates(keys: Iterable[Key]) -> list[str]:
    return list(dict.fromkeys(template for template, _ in keys))


def _unnamed(template: str) -> str:
    """What functions are called as long as their kernel has no number."""
    return f"tv_{template}_x"


def _differing(keys: Sequence[Key], varying: Mapping[Key, tuple[str, ...]]) -> set[str]:
    """Entries that may be run-time values and are not the same in all contexts."""
    contexts = [dict(context) for _, context in keys]
    names = {name for key in keys for name in varying[key]}
    return {name for name in names if len({context.get(name) for context in contexts}) > 1}


def _render(key: Key, names: set[str]) -> list[tuple[str, str]]:
    """The functions of a kernel whose entries ``names`` are run-time values: the end of each one's
    name, and its text. The comment before the first goes to the last, which layers call.
    """
    template, context = key
    fields = {k: as_fields(v, k) if k in names else v for k, v in context}
    text = render_kernel(template, _unnamed(template), fields, f"tv_{template}_shape")
    first, *marked = re.split(r"@(\w*)@", text)
    suffixes, texts = marked[::2] or [""], marked[1::2] or [""]
    texts[-1] = first + texts[-1]
    return [(s, part.strip() + "\n") for s, part in zip(suffixes, texts, strict=True)]


def _c_type(values: Sequence[int]) -> str:
    """The smallest type that holds all of them."""
    for c_type, low, end in NARROW:
        if all(low <= value < end for value in values):
            return c_type
    return "int32_t"
