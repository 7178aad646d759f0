"""Networks as data: a stem, blocks and a head, which a person writes and a search emits.

Nothing here needs TensorFlow. ``blocks`` makes Keras layers of a description; a width other than
1 scales every channel count the way the MobileNet papers do (``rounded``).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum


class Activation(Enum):
    NONE = "none"
    RELU = "relu"
    RELU6 = "relu6"
    HARD_SWISH = "hard_swish"


@dataclass(frozen=True, kw_only=True)
class Conv:
    """Convolution, batch norm, activation."""

    channels: int
    kernel: int | tuple[int, int] = 3
    stride: int | tuple[int, int] = 1
    activation: Activation = Activation.RELU6


@dataclass(frozen=True, kw_only=True)
class InvertedResidual:
    """Pointwise to ``expansion`` times the channels, depthwise, pointwise back (MobileNetV2,
    arXiv:1801.04381, section 3.3). Input and output are added where their shapes are equal.
    ``squeeze``: squeeze-and-excitation after the depthwise convolution, as in MobileNetV3.
    """

    channels: int
    kernel: int = 3
    expansion: float = 6
    stride: int = 1
    activation: Activation = Activation.RELU6
    squeeze: bool = False


Block = Conv | InvertedResidual


@dataclass(frozen=True)
class Published:
    """What the authors report: millions of MACs and of parameters."""

    mmacs: float
    mparams: float


@dataclass(frozen=True, kw_only=True)
class Network:
    """``blocks`` from the image to the last feature map; then the mean over it, a hidden layer
    of ``hidden`` units where that is not 0, and the classifier. ``width`` and ``resolution`` are
    what it is built with unless the caller says otherwise. ``source`` names the paper or file.
    """

    blocks: tuple[Block, ...]
    resolution: tuple[int, int]
    source: str
    width: float = 1.0
    image_channels: int = 3
    classes: int = 1000
    hidden: int = 0
    published: Published | None = None

    def scaled(self, width: float) -> Network:
        """The same network with every channel count multiplied by ``width``."""
        blocks = tuple(_scaled(block, width) for block in self.blocks)
        hidden = rounded(self.hidden * width) if self.hidden else 0
        return replace(self, blocks=blocks, hidden=hidden, width=width)


def rounded(channels: float, divisor: int = 8) -> int:
    """The nearest multiple of ``divisor``, and the next where that is below 0.9 of ``channels``
    (MobileNetV2's reference code).
    """
    nearest = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return nearest + divisor if nearest < 0.9 * channels else nearest


def _scaled(block: Block, width: float) -> Block:
    if width == 1.0:
        return block
    return replace(block, channels=rounded(block.channels * width))
