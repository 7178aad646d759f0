"""Networks of our own for pictures of a few dozen pixels a side: small data in a minute."""

from __future__ import annotations

from tinyvision.zoo.mcunet import network

NETWORKS = {
    "mcunet-tiny": network(
        8,
        ((3, 2, 8, 1), (5, 3, 16, 2), (3, 3, 16, 1), (7, 3, 24, 2), (5, 3, 24, 1)),
        32,
        classes=10,
        source="MCUNet's blocks (arXiv:2007.10319), fewer",
    ),
}
