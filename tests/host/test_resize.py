"""ResizeNearest and ResizeBilinear on the host."""

from __future__ import annotations

import pytest

from tests.support.family_check import check_kind


@pytest.mark.parametrize("kind", ["ResizeNearest", "ResizeBilinear"])
def test_equals_the_oracle_in_every_placement(kind: str) -> None:
    check_kind(kind, count=20)
