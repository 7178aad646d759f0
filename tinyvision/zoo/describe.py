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


@dataclass(frozen=True, kw_only=True)
class Separable:
    """Depthwise, then pointwise convolution, each with its activation (MobileNetV1)."""

    channels: int
    kernel: int = 3
    stride: int = 1
    activation: Activation = Activation.RELU6


@dataclass(frozen=True, kw_only=True)
class MaxPool:
    kernel: int = 3
    stride: int = 2


@dataclass(frozen=True, kw_only=True)
class Residual:
    """Two 3×3 convolutions and a shortcut (ResNet, arXiv:1512.03385, figure 2)."""

    channels: int
    stride: int = 1


@dataclass(frozen=True, kw_only=True)
class Fire:
    """A pointwise squeeze to an eighth of the channels; half of the channels from a 1×1, half
    from a 3×3 convolution of it (SqueezeNet, arXiv:1602.07360, section 3.2).
    """

    channels: int


@dataclass(frozen=True, kw_only=True)
class Shuffle:
    """ShuffleNetV2's unit (arXiv:1807.11164, figure 3): half of the channels through three
    convolutions, or with stride 2 all of them through two branches; then halves interleaved.
    """

    channels: int
    stride: int = 1


@dataclass(frozen=True, kw_only=True)
class Ghost:
    """GhostNet's bottleneck (arXiv:1911.11907, figure 3): of each pointwise convolution only half
    of the channels are computed; a depthwise convolution of those makes the other half.
    """

    channels: int
    expansion: float
    kernel: int = 3
    stride: int = 1
    squeeze: bool = False


@dataclass(frozen=True, kw_only=True)
class Grouped:
    """RegNetX's block (arXiv:2003.13678, section 4.1): a residual bottleneck of ratio 1 around a
    3×3 convolution in groups of ``group_channels``.
    """

    channels: int
    stride: int = 1
    group_channels: int = 8


@dataclass(frozen=True, kw_only=True)
class ConvNeXt:
    """ConvNeXt's block (arXiv:2201.03545, figure 4) with batch norm and ReLU6 instead of layer
    norm and GELU, which have no int8 form: depthwise, pointwise out and back, shortcut.
    """

    kernel: int = 7
    expansion: float = 4


@dataclass(frozen=True, kw_only=True)
class LinearAttention:
    """ReLU linear attention with a shortcut (EfficientViT, arXiv:2205.14756, section 3.1): every
    head of ``head_channels`` computes relu(Q) (relu(K)ᵀ V), at a cost linear in the pixels. Its
    division by the sum of relu(K), for which int8 has no operator, is one by their number: batch
    norm scales what follows.
    """

    head_channels: int = 8


Block = (
    Conv
    | InvertedResidual
    | Separable
    | MaxPool
    | Residual
    | Fire
    | Shuffle
    | Ghost
    | Grouped
    | ConvNeXt
    | LinearAttention
)


@dataclass(frozen=True)
class Published:
    """What the authors report: millions of MACs and of parameters, of the network at ``width``
    and ``resolution`` (None: those of the description). None where theirs counts something else.
    """

    mmacs: float | None
    mparams: float | None
    resolution: int | None = None
    width: float | None = None
    classes: int | None = None


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
    hidden_activation: Activation = Activation.RELU6
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
    if width == 1.0 or isinstance(block, MaxPool | ConvNeXt | LinearAttention):
        return block
    return replace(block, channels=rounded(block.channels * width))
