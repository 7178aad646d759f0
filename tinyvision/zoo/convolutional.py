"""Networks of ordinary convolutions, old and new: MLPerf Tiny's ResNet-8 and DS-CNN, SqueezeNet,
RegNetX, and ConvNeXt with what int8 can express.
"""

from __future__ import annotations

from tinyvision.zoo.describe import (
    Activation,
    Block,
    Conv,
    ConvNeXt,
    Fire,
    Grouped,
    MaxPool,
    Network,
    Published,
    Residual,
    Separable,
)

RELU = Activation.RELU

RESNET8 = Network(
    blocks=(
        Conv(channels=16, activation=RELU),
        Residual(channels=16),
        Residual(channels=32, stride=2),
        Residual(channels=64, stride=2),
    ),
    resolution=(32, 32),
    classes=10,
    published=Published(12.5, 0.078),
    source="MLPerf Tiny, image classification",
)
DS_CNN = Network(
    blocks=(
        Conv(channels=64, kernel=(10, 4), stride=2, activation=RELU),
        *(Separable(channels=64, activation=RELU) for _ in range(4)),
    ),
    resolution=(49, 10),
    image_channels=1,
    classes=12,
    published=Published(2.66, None),
    source="MLPerf Tiny, keyword spotting",
)

# Version 1.1 of the authors' repository; the classifier stands behind the mean instead of before
# it, which is the same function without its last ReLU.
SQUEEZENET = Network(
    blocks=(
        Conv(channels=64, stride=2, activation=RELU),
        MaxPool(),
        *(Fire(channels=128) for _ in range(2)),
        MaxPool(),
        *(Fire(channels=256) for _ in range(2)),
        MaxPool(),
        *(Fire(channels=384) for _ in range(2)),
        *(Fire(channels=512) for _ in range(2)),
    ),
    resolution=(96, 96),
    width=0.5,
    source="arXiv:1602.07360",
)

REGNETX_STAGES = ((1, 24), (1, 56), (4, 152), (7, 368))  # 200 MF: depth, channels
REGNETX = Network(
    blocks=(
        Conv(channels=32, stride=2, activation=RELU),
        *(
            Grouped(channels=channels, stride=2 if index == 0 else 1)
            for depth, channels in REGNETX_STAGES
            for index in range(depth)
        ),
    ),
    resolution=(96, 96),
    width=0.5,
    published=Published(200, 2.7, resolution=224, width=1.0),
    source="arXiv:2003.13678",
)

# Smaller than any published ConvNeXt: the paper's stage ratio of 1:1:3:1, its stem and its 2×2
# convolutions between stages.
CONVNEXT_STAGES = ((1, 16, 4), (1, 32, 2), (3, 64, 2), (1, 128, 2))  # depth, channels, stride


def _convnext_stage(depth: int, channels: int, stride: int) -> tuple[Block, ...]:
    down = Conv(channels=channels, kernel=stride, stride=stride, activation=Activation.NONE)
    return (down, *[ConvNeXt()] * depth)


CONVNEXT = Network(
    blocks=tuple(block for stage in CONVNEXT_STAGES for block in _convnext_stage(*stage)),
    resolution=(128, 128),
    source="arXiv:2201.03545",
)

NETWORKS = {
    "resnet8": RESNET8,
    "ds-cnn": DS_CNN,
    "squeezenet": SQUEEZENET,
    "regnetx-200mf": REGNETX,
    "convnext": CONVNEXT,
}
