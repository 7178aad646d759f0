"""From the parts of a file to the graph, collecting everything that is not supported."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from tinyvision.importer import schema, static
from tinyvision.importer.dilation import Batching, fuse
from tinyvision.importer.model_file import RawModel, RawOperator
from tinyvision.importer.problems import MAX_PROBLEMS, Problem, Refusal
from tinyvision.importer.registry import OPERATORS, Operator
from tinyvision.importer.site import Site
from tinyvision.importer.tensors import convert, may_become, unique_names
from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import Op
from tinyvision.ir.shapes import output_shapes
from tinyvision.ir.types import Array, Tensor

CUSTOM = 32


@dataclass
class GraphBuilder:
    """Converts operator by operator; ``problems`` is empty in the end if the graph is sound."""

    raw: RawModel
    name: str
    problems: list[Problem] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._names = unique_names(self.raw)
        self._indices = {name: index for index, name in enumerate(self._names)}
        self._taken = set(self._names)
        self._converted: dict[int, Tensor] = {}
        self._pool: dict[str, Tensor] = {}
        self._pool_graph = Graph(self.name, self._pool, (), (), ())

    def build(self) -> Graph | None:
        """The graph, or None where there are problems."""
        if self.raw.subgraphs > 1:
            self.problems.append(
                Problem(
                    f"the model has {self.raw.subgraphs} subgraphs",
                    hint="Control flow (if, while) and several signatures are not supported.",
                )
            )
        ops = [op for raw in self.raw.operators for op in self._operator(raw)]
        inputs = self._interface(self.raw.inputs, "input")
        outputs = self._interface(self.raw.outputs, "output")
        self._check_outputs(outputs)
        ops, left_over = fuse(ops, self._pool, outputs)
        self.problems += left_over
        if self.problems:
            return None
        graph = Graph(self.name, self._pool, tuple(ops), inputs, outputs)
        return graph.with_ops(graph.ops)

    def operator_counts(self) -> dict[str, int]:
        return dict(Counter(self._kind(raw) for raw in self.raw.operators))

    # What a Site asks for

    def tensor(self, index: int) -> Tensor:
        if index not in self._converted:
            tensor = convert(self.raw, self.raw.tensors[index], self._names[index])
            self._converted[index] = self._pool[tensor.name] = tensor
        return self._converted[index]

    def add(self, tensor: Tensor) -> Tensor:
        name = tensor.name
        while name in self._taken:
            name += "_"
        self._taken.add(name)
        self._pool[name] = added = replace(tensor, name=name)
        return added

    def fold(self, index: int, value: Array) -> None:
        tensor = replace(self.tensor(index), data=value)
        self._converted[index] = self._pool[tensor.name] = tensor

    def resized(self, tensor: Tensor, shape: tuple[int, ...]) -> Tensor | None:
        index = self._indices.get(tensor.name)
        if index is None or not may_become(self.raw.tensors[index], shape):
            return None
        resized = replace(tensor, shape=shape)
        self._converted[index] = self._pool[tensor.name] = resized
        return resized

    # One operator

    def _kind(self, raw: RawOperator) -> str:
        if raw.code == CUSTOM:
            return "CUSTOM"
        known = OPERATORS.get(raw.code)
        return known.name if known else schema.operator_name(raw.code)

    def _operator(self, raw: RawOperator) -> list[Op]:
        if len(self.problems) >= MAX_PROBLEMS:
            return []
        kind = self._kind(raw)
        known = OPERATORS.get(raw.code)
        if known is None:
            what = f"custom operator {raw.custom_code!r}" if raw.code == CUSTOM else "the operator"
            self.problems.append(Problem(f"{what} is not supported", raw.index, kind))
            return []
        if not 1 <= raw.version <= known.version:
            what = f"version {raw.version} is not supported, at most {known.version} is"
            self.problems.append(Problem(what, raw.index, kind))
            return []
        problems: list[Problem] = []
        ops: list[Op] = []
        try:
            site = Site(raw, kind, known.options, self)
            problems = site.problems
            ops = self._convert(site, known)
        except Refusal as refusal:
            problems.append(replace(refusal.problem, op=raw.index, kind=kind))
        if not problems:
            problems += [p for op in ops for p in self._shape_problems(op, raw, kind)]
        self.problems += problems
        return ops

    def _convert(self, site: Site, known: Operator) -> list[Op]:
        ops: list[Op] = []
        if known.fold is not None and (known.convert is None or static.applies(site)):
            static.folded(site, known.fold)
        else:
            assert known.convert is not None
            ops = known.convert(site)
        site.refuse_unused()
        return ops

    def _shape_problems(self, op: Op, raw: RawOperator, kind: str) -> list[Problem]:
        """The file's shapes must be those that the operator makes of its inputs."""
        if isinstance(op, Batching):
            return []
        try:
            shapes = output_shapes(self._pool_graph, op)
        except ValueError as error:
            return [Problem(str(error), raw.index, kind, op.outputs[0])]
        return [
            Problem(
                f"its output has the shape {self._pool[name].shape}, not {shape}",
                raw.index,
                kind,
                name,
            )
            for name, shape in zip(op.outputs, shapes, strict=True)
            if self._pool[name].shape != shape and self.resized(self._pool[name], shape) is None
        ]

    # The model's inputs and outputs

    def _interface(self, indices: Sequence[int], what: str) -> tuple[str, ...]:
        if not indices:
            self.problems.append(Problem(f"the model has no {what}"))
        names = []
        for index in indices:
            try:
                names.append(self.tensor(index).name)
            except Refusal as refusal:
                self.problems.append(refusal.problem)
        return tuple(names)

    def _check_outputs(self, outputs: Sequence[str]) -> None:
        inputs = {self._names[index] for index in self.raw.inputs}
        for name in dict.fromkeys(outputs):
            if name in inputs:
                self.problems.append(Problem("an input is also an output", tensor=name))
            elif self._pool[name].is_constant:
                self.problems.append(Problem("an output is constant", tensor=name))
            if outputs.count(name) > 1:
                self.problems.append(Problem("an output is listed twice", tensor=name))
