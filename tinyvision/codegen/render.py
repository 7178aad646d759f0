"""Rendering: Jinja with strict rules, and nothing but integers and identifiers let in."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import jinja2
import numpy as np

from tinyvision.codegen.fields import Field
from tinyvision.codegen.instances.instance import Value
from tinyvision.codegen.names import c_comment, c_float, c_int, c_string, is_identifier
from tinyvision.ir.types import Array
from tinyvision.resources import data_folder


def _rows(values: Array, columns: int = 16) -> list[list[int]]:
    """The elements in C order, ``columns`` a row."""
    flat = values.ravel().tolist()
    return [flat[i : i + columns] for i in range(0, len(flat), columns)]


@lru_cache(maxsize=1)
def environment() -> jinja2.Environment:
    env = jinja2.Environment(
        loader=jinja2.FileSystemLoader(data_folder("codegen_templates")),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    env.filters.update(
        comment=c_comment, c_string=c_string, c_int=c_int, c_float=c_float, rows=_rows, named=Field
    )
    env.tests["runtime"] = lambda value: isinstance(value, Field)
    return env


def render(template: str, context: Mapping[str, Any]) -> str:
    """A file of ``codegen_templates`` with ``context``; an undefined name is an error."""
    return environment().get_template(template).render(context)


def _checked(key: str, value: Value) -> Value:
    if isinstance(value, tuple):
        return tuple(_checked(key, item) for item in value)  # type: ignore[misc]
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, str) and is_identifier(value):
        return value
    raise ValueError(f"{key}={value!r} is neither an integer nor a C identifier")


def checked_context(context: Mapping[str, Value]) -> dict[str, Value]:
    """``context`` as it may reach a kernel template; anything else than integers and identifiers
    (and tuples of them) is an error.
    """
    return {key: _checked(key, value) for key, value in context.items()}


def render_kernel(template: str, name: str, context: Mapping[str, Value], shape: str = "") -> str:
    """One kernel function called ``name`` from ``codegen_templates/kernels/TEMPLATE.c.j2``.

    ``shape``: the structure that functions shared between layers take besides their arguments; see
    ``kernels/_common.j2``.
    """
    known = {**context, "name": name, "shape": shape}
    return render(f"kernels/{template}.c.j2", known).strip() + "\n"
