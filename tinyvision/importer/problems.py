"""What cannot be compiled, collected so that a user sees all of it at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

MAX_PROBLEMS = 1000


@dataclass(frozen=True)
class Problem:
    """One thing about one operator: ``op`` is its index in the file, None for the model's own.

    ``kind`` is the operator's name in TFLite, ``tensor`` the tensor concerned, if any.
    """

    what: str
    op: int | None = None
    kind: str = ""
    tensor: str = ""
    hint: str = ""

    def __str__(self) -> str:
        where = f"operator {self.op} {self.kind}: " if self.op is not None else ""
        tensor = f" (tensor {self.tensor!r})" if self.tensor else ""
        return f"{where}{self.what}{tensor}" + (f". {self.hint}" if self.hint else "")


class Refusal(Exception):
    """Ends the conversion of one operator; the problem is collected by the caller."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        super().__init__(str(problem))


@dataclass(frozen=True)
class CheckReport:
    """``operators`` counts the file's operators by TFLite's name; ``problems`` is empty if all of
    them can be compiled.
    """

    model: str
    operators: Mapping[str, int]
    problems: tuple[Problem, ...]

    @property
    def ok(self) -> bool:
        return not self.problems

    def to_json(self) -> dict[str, Any]:
        """Plain data for ``check --json``."""
        return {
            "model": self.model,
            "supported": self.ok,
            "operators": dict(self.operators),
            "problems": [asdict(problem) for problem in self.problems],
        }


def summarize(problems: Sequence[Problem]) -> tuple[str, ...]:
    """One line for problems that differ only in where they occur."""
    groups = Counter((p.kind, p.what, p.hint) for p in problems)
    first = {(p.kind, p.what, p.hint): p for p in reversed(problems)}
    return tuple(
        str(first[key]) if count == 1 else f"{first[key]} ({count} times)"
        for key, count in groups.items()
    )
