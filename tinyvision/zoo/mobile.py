"""Networks for phones, made narrower: MobileNet V1 and V3, EfficientNet-Lite, ShuffleNetV2,
GhostNet. (V2 is with MCUNet, whose blocks it has.)

Rows state the papers' tables at the papers' width. What the zoo builds by default is narrower and
at a lower resolution, so that a microcontroller holds it with a thousand classes.
"""

from __future__ import annotations

from tinyvision.zoo.describe import (
    Activation,
    Conv,
    Ghost,
    InvertedResidual,
    MaxPool,
    Network,
    Published,
    Separable,
    Shuffle,
)

SWISH = Activation.HARD_SWISH
RELU = Activation.RELU

# Channels, stride: table 1 of the paper.
V1_ROWS = (
    (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2),
    (512, 1), (512, 1), (512, 1), (512, 1), (512, 1), (1024, 2), (1024, 1),
)  # fmt: skip
V1 = Network(
    blocks=(
        Conv(channels=32, stride=2),
        *(Separable(channels=channels, stride=stride) for channels, stride in V1_ROWS),
    ),
    resolution=(96, 96),
    width=0.25,
    published=Published(569, 4.2, resolution=224, width=1.0),
    source="arXiv:1704.04861",
)

# Kernel, expanded to, channels, squeeze-and-excitation, activation, stride: table 2.
V3_ROWS = (
    (3, 16, 16, True, RELU, 2),
    (3, 72, 24, False, RELU, 2),
    (3, 88, 24, False, RELU, 1),
    (5, 96, 40, True, SWISH, 2),
    (5, 240, 40, True, SWISH, 1),
    (5, 240, 40, True, SWISH, 1),
    (5, 120, 48, True, SWISH, 1),
    (5, 144, 48, True, SWISH, 1),
    (5, 288, 96, True, SWISH, 2),
    (5, 576, 96, True, SWISH, 1),
    (5, 576, 96, True, SWISH, 1),
)
V3_SMALL = Network(
    blocks=(
        Conv(channels=16, stride=2, activation=SWISH),
        *(
            InvertedResidual(
                kernel=kernel,
                expansion=middle / before,
                channels=channels,
                squeeze=squeeze,
                activation=activation,
                stride=stride,
            )
            for (kernel, middle, channels, squeeze, activation, stride), before in zip(
                V3_ROWS, (16, *(row[2] for row in V3_ROWS)), strict=False
            )
        ),
        Conv(channels=576, kernel=1, activation=SWISH),
    ),
    hidden=1024,
    hidden_activation=SWISH,
    resolution=(96, 96),
    width=0.5,
    published=Published(56, 2.5, resolution=224, width=1.0),
    source="arXiv:1905.02244",
)

# Repeats, kernel, expansion, channels, stride of the first: EfficientNet-B0's table 1; Lite has
# ReLU6 everywhere and no squeeze-and-excitation.
LITE0_STAGES = (
    (1, 3, 1, 16, 1),
    (2, 3, 6, 24, 2),
    (2, 5, 6, 40, 2),
    (3, 3, 6, 80, 2),
    (3, 5, 6, 112, 1),
    (4, 5, 6, 192, 2),
    (1, 3, 6, 320, 1),
)
LITE0 = Network(
    blocks=(
        Conv(channels=32, stride=2),
        *(
            InvertedResidual(
                kernel=kernel,
                expansion=expansion,
                channels=channels,
                stride=stride if index == 0 else 1,
            )
            for repeats, kernel, expansion, channels, stride in LITE0_STAGES
            for index in range(repeats)
        ),
        Conv(channels=1280, kernel=1),
    ),
    resolution=(128, 128),
    width=0.35,
    published=Published(None, 4.7, resolution=224, width=1.0),
    source="arXiv:1905.11946",
)

# Width 0.5 of the paper's table 5, whose stem and last convolution do not scale.
SHUFFLE_V2 = Network(
    blocks=(
        Conv(channels=24, stride=2, activation=RELU),
        MaxPool(),
        *(
            Shuffle(channels=channels, stride=2 if index == 0 else 1)
            for repeats, channels in ((4, 48), (8, 96), (4, 192))
            for index in range(repeats)
        ),
        Conv(channels=1024, kernel=1, activation=RELU),
    ),
    resolution=(128, 128),
    published=Published(41, 1.4, resolution=224),
    source="arXiv:1807.11164",
)

# Kernel, expanded to, channels, squeeze-and-excitation, stride: table 1.
GHOST_ROWS = (
    (3, 16, 16, False, 1),
    (3, 48, 24, False, 2),
    (3, 72, 24, False, 1),
    (5, 72, 40, True, 2),
    (5, 120, 40, True, 1),
    (3, 240, 80, False, 2),
    (3, 200, 80, False, 1),
    (3, 184, 80, False, 1),
    (3, 184, 80, False, 1),
    (3, 480, 112, True, 1),
    (3, 672, 112, True, 1),
    (5, 672, 160, True, 2),
    (5, 960, 160, False, 1),
    (5, 960, 160, True, 1),
    (5, 960, 160, False, 1),
    (5, 960, 160, True, 1),
)
GHOST = Network(
    blocks=(
        Conv(channels=16, stride=2, activation=RELU),
        *(
            Ghost(
                kernel=kernel,
                expansion=middle / before,
                channels=channels,
                squeeze=squeeze,
                stride=stride,
            )
            for (kernel, middle, channels, squeeze, stride), before in zip(
                GHOST_ROWS, (16, *(row[2] for row in GHOST_ROWS)), strict=False
            )
        ),
        Conv(channels=960, kernel=1, activation=RELU),
    ),
    hidden=1280,
    hidden_activation=RELU,
    resolution=(96, 96),
    width=0.5,
    published=Published(141, 5.2, resolution=224, width=1.0),
    source="arXiv:1911.11907",
)

NETWORKS = {
    "mobilenet-v1": V1,
    "mobilenet-v3-small": V3_SMALL,
    "efficientnet-lite0": LITE0,
    "shufflenet-v2": SHUFFLE_V2,
    "ghostnet": GHOST,
}
