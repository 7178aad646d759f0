"""Four channels by two pixels, in every placement that the kernel allows."""

from __future__ import annotations

from tests.support.conv_cases import deep_pointwise_convolutions
from tests.support.family_check import check_placements, drawn


def test_equal_to_the_oracle_in_every_placement() -> None:
    check_placements(drawn(deep_pointwise_convolutions(), 12), "cortex-m4")
