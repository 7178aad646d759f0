"""Whatever a model file calls its tensors, the C stays C."""

from __future__ import annotations

import numpy as np
import pytest

from tinyvision.codegen.names import c_comment, c_float, c_identifier, c_int, c_string
from tinyvision.codegen.render import checked_context

HOSTILE = ("*/ int x; /*", 'a"; system("x"); "', "new\nline", "back\\slash\n", "??/", "ü", "", "%s")


def test_identifiers() -> None:
    assert c_identifier("VWW-96 (v2)") == "vww_96_v2"
    assert c_identifier("") == c_identifier("///") == "model"
    assert len(c_identifier("a" * 1000)) == 48
    for name in HOSTILE:
        assert f"tv_{c_identifier(name)}".isidentifier()
        assert c_identifier(name).isascii()


@pytest.mark.parametrize("name", HOSTILE)
def test_comments_and_strings_stay_inside(name: str) -> None:
    comment = c_comment(name)
    assert "*" not in comment and "\\" not in comment and "\n" not in comment
    literal = c_string(name)
    assert literal[0] == literal[-1] == '"'
    assert '"' not in literal[1:-1] and "\n" not in literal and "?" not in literal


def test_strings_keep_their_bytes() -> None:
    literal = c_string("ü1?").encode()
    assert literal == rb'"\303\2741\077"'


def test_numbers() -> None:
    assert c_int(-(2**31)) == "(-2147483647 - 1)"
    assert c_int(-5) == "-5"
    for value in (1.0, 0.1, 2.0**-30, 1e20):
        assert np.float32(c_float(value).rstrip("f")) == np.float32(value)
    with pytest.raises(ValueError, match="no float literal"):
        c_float(float("nan"))


def test_only_integers_and_identifiers_reach_a_kernel() -> None:
    assert checked_context({"a": 1, "b": "int8_t", "c": (1, 2)})["c"] == (1, 2)
    for bad in ("1 + 1", "x;", "", 'a"'):
        with pytest.raises(ValueError, match="neither"):
            checked_context({"a": bad})
    with pytest.raises(ValueError, match="neither"):
        checked_context({"a": (1, "x y")})
    with pytest.raises(ValueError, match="neither"):
        checked_context({"a": 1.5})  # type: ignore[dict-item]
