"""BatchMatMul on the host."""

from __future__ import annotations

from tests.support.family_check import check_kind


def test_equals_the_oracle_in_every_placement() -> None:
    check_kind("BatchMatMul")
