"""The MCUNet family and the two baselines of its paper (arXiv:2007.10319, arXiv:2110.15352).

A network is a row a block: kernel, expansion, channels, stride. The rows of in0 to in4 and mbv2
state the authors' released configurations (github.com/mit-han-lab/tinyml, mcunet/assets/configs);
those of the VWW networks were read off their released int8 networks, layer by layer.
"""

from __future__ import annotations

from tinyvision.zoo.describe import Conv, InvertedResidual, Network, Published

Row = tuple[int, float, int, int]


def network(
    stem: int,
    rows: tuple[Row, ...],
    resolution: int,
    *,
    head: int = 0,
    classes: int = 1000,
    width: float = 1.0,
    published: Published | None = None,
    source: str = "arXiv:2007.10319",
) -> Network:
    """A 3×3 stem of stride 2 with ``stem`` channels, an inverted residual a row, and a pointwise
    convolution to ``head`` channels where that is not 0.
    """
    blocks = [
        InvertedResidual(kernel=kernel, expansion=expansion, channels=channels, stride=stride)
        for kernel, expansion, channels, stride in rows
    ]
    last = (Conv(channels=head, kernel=1),) if head else ()
    return Network(
        blocks=(Conv(channels=stem, stride=2), *blocks, *last),
        resolution=(resolution, resolution),
        classes=classes,
        width=width,
        published=published,
        source=source,
    )


VWW0 = network(
    16,
    (
        (3, 1, 8, 1),
        (5, 6, 16, 2), (3, 4, 16, 1),
        (3, 5, 24, 2), (3, 4, 24, 1), (3, 4, 24, 1),
        (3, 5, 40, 2), (3, 4, 40, 1), (7, 3, 40, 1),
        (3, 3, 48, 1), (3, 4, 48, 1),
        (7, 5, 96, 2), (5, 5, 96, 1),
        (7, 4, 160, 1),
    ),
    64,
    classes=2,
    published=Published(6.0, 0.37),
)  # fmt: skip
VWW1 = network(
    16,
    (
        (3, 1, 8, 1),
        (3, 6, 16, 2), (3, 3, 16, 1), (3, 3, 16, 1),
        (7, 3, 24, 2), (3, 6, 24, 1), (5, 5, 24, 1),
        (7, 6, 40, 2), (7, 6, 40, 1),
        (3, 6, 48, 1), (3, 4, 48, 1),
        (5, 5, 96, 2), (3, 5, 96, 1), (3, 4, 96, 1),
        (7, 3, 160, 1),
    ),
    80,
    classes=2,
    published=Published(11.6, 0.43),
)  # fmt: skip
VWW2 = network(
    16,
    (
        (3, 1, 8, 1),
        (3, 3, 16, 2), (3, 5, 16, 1), (5, 6, 16, 1), (3, 3, 16, 1),
        (7, 5, 24, 2), (5, 4, 24, 1), (3, 4, 24, 1), (7, 6, 24, 1),
        (3, 6, 40, 2), (7, 6, 40, 1), (5, 4, 40, 1), (3, 5, 40, 1),
        (5, 5, 48, 1), (5, 3, 48, 1), (3, 4, 48, 1), (5, 3, 48, 1),
        (3, 4, 96, 2), (5, 5, 96, 1), (5, 4, 96, 1), (3, 4, 96, 1),
        (3, 5, 160, 1),
    ),
    144,
    classes=2,
    published=Published(55.8, 0.64),
)  # fmt: skip
IN0 = network(
    24,
    (
        (3, 1, 16, 1),
        (5, 4, 16, 2), (3, 3, 16, 1), (3, 4, 16, 1),
        (7, 5, 24, 2), (5, 4, 24, 1), (5, 5, 24, 1),
        (7, 5, 48, 2), (5, 4, 48, 1),
        (3, 5, 56, 1), (5, 4, 56, 1), (3, 5, 56, 1),
        (3, 6, 112, 2), (5, 4, 112, 1),
        (3, 6, 192, 1),
    ),
    48,
    published=Published(6.4, 0.75),
)  # fmt: skip
IN1 = network(
    16,
    (
        (3, 1, 8, 1),
        (3, 4, 16, 2), (3, 3, 16, 1),
        (7, 3, 24, 2), (3, 5, 24, 1),
        (3, 5, 40, 2), (7, 4, 40, 1),
        (5, 4, 48, 1), (3, 3, 48, 1), (3, 4, 48, 1),
        (7, 5, 96, 2), (5, 4, 96, 1), (5, 4, 96, 1),
        (3, 6, 160, 1),
    ),
    96,
    published=Published(12.8, 0.64),
)  # fmt: skip
IN2 = network(
    16,
    (
        (3, 1, 8, 1),
        (5, 3, 16, 2), (7, 6, 16, 1), (3, 5, 16, 1), (5, 5, 16, 1),
        (3, 5, 24, 2), (7, 6, 24, 1), (5, 6, 24, 1),
        (7, 4, 40, 2), (5, 5, 40, 1),
        (3, 5, 48, 1), (5, 5, 48, 1), (3, 4, 48, 1),
        (5, 6, 96, 2), (5, 4, 96, 1), (5, 3, 96, 1), (3, 4, 96, 1),
        (5, 5, 160, 1),
    ),
    160,
    published=Published(67.3, 0.73),
)  # fmt: skip
IN3 = network(
    16,
    (
        (3, 1, 8, 1),
        (7, 3, 16, 2), (3, 5, 16, 1), (7, 5, 16, 1), (5, 4, 16, 1),
        (5, 5, 24, 2), (5, 5, 24, 1), (5, 5, 24, 1),
        (3, 5, 40, 2), (7, 6, 40, 1), (5, 4, 40, 1),
        (5, 5, 48, 1), (7, 5, 48, 1), (3, 5, 48, 1),
        (3, 6, 96, 2), (7, 5, 96, 1), (3, 4, 96, 1),
        (7, 5, 160, 1),
    ),
    176,
    published=Published(81.8, 0.74),
)  # fmt: skip
IN4 = network(
    32,
    (
        (3, 1, 16, 1),
        (7, 3, 24, 2), (3, 5, 24, 1), (5, 4, 24, 1),
        (7, 5, 40, 2), (3, 4, 40, 1), (7, 4, 40, 1),
        (7, 3, 80, 2), (3, 3, 80, 1), (7, 3, 80, 1),
        (3, 4, 96, 1), (5, 3, 96, 1), (5, 3, 96, 1),
        (7, 4, 192, 2), (7, 3, 192, 1), (5, 3, 192, 1),
        (5, 4, 320, 1),
    ),
    160,
    published=Published(125.9, 1.73),
)  # fmt: skip
MOBILENET_V2 = network(
    32,
    (
        (3, 1, 16, 1),
        (3, 6, 24, 2), (3, 6, 24, 1),
        (3, 6, 32, 2), (3, 6, 32, 1), (3, 6, 32, 1),
        (3, 6, 64, 2), (3, 6, 64, 1), (3, 6, 64, 1), (3, 6, 64, 1),
        (3, 6, 96, 1), (3, 6, 96, 1), (3, 6, 96, 1),
        (3, 6, 160, 2), (3, 6, 160, 1), (3, 6, 160, 1),
        (3, 6, 320, 1),
    ),
    144,
    head=1280,
    width=0.35,
    published=Published(23.5, 0.75),
    source="arXiv:1801.04381",
)  # fmt: skip
# ProxylessNAS mobile's rows (kernel, expansion, stride) at width 0.3. Its fifth stage would have 56
# channels then; 64 is fitted: with it, and not with 56, MACs and parameters are those published.
PROXYLESS_W03 = network(
    16,
    (
        (3, 1, 8, 1),
        (5, 3, 16, 2), (3, 3, 16, 1),
        (7, 3, 16, 2), (3, 3, 16, 1), (5, 3, 16, 1), (5, 3, 16, 1),
        (7, 6, 24, 2), (5, 3, 24, 1), (5, 3, 24, 1), (5, 3, 24, 1),
        (5, 6, 32, 1), (5, 3, 32, 1), (5, 3, 32, 1), (5, 3, 32, 1),
        (7, 6, 64, 2), (7, 6, 64, 1), (7, 3, 64, 1), (7, 3, 64, 1),
        (7, 6, 96, 1),
    ),
    176,
    head=384,
    published=Published(38.3, 0.75),
    source="arXiv:1812.00332",
)  # fmt: skip

NETWORKS = {
    "mcunet-vww0": VWW0,
    "mcunet-vww1": VWW1,
    "mcunet-vww2": VWW2,
    "mcunet-in0": IN0,
    "mcunet-in1": IN1,
    "mcunet-in2": IN2,
    "mcunet-in3": IN3,
    "mcunet-in4": IN4,
    "mobilenet-v2": MOBILENET_V2,
    "proxylessnas-w0.3": PROXYLESS_W03,
}
