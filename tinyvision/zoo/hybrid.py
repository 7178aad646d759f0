"""Convolutions and attention: a network like EfficientViT, smaller than any published one."""

from __future__ import annotations

from tinyvision.zoo.describe import Conv, InvertedResidual, LinearAttention, Network


def _mixed(channels: int) -> tuple[LinearAttention, InvertedResidual]:
    """What looks at all of the picture, then what looks at a pixel's neighbours."""
    return LinearAttention(), InvertedResidual(channels=channels, expansion=4)


EFFICIENTVIT = Network(
    blocks=(
        Conv(channels=16, stride=2),
        InvertedResidual(channels=16, expansion=1),
        InvertedResidual(channels=24, expansion=4, stride=2),
        InvertedResidual(channels=48, expansion=4, stride=2),
        *_mixed(48),
        *_mixed(48),
        InvertedResidual(channels=96, expansion=4, stride=2),
        *_mixed(96),
        *_mixed(96),
    ),
    resolution=(128, 128),
    source="arXiv:2205.14756",
)

NETWORKS = {"efficientvit": EFFICIENTVIT}
