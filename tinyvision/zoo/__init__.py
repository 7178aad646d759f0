"""Networks that fit a microcontroller: float32 Keras models with names.

``build`` needs TensorFlow, which is imported then; the names and descriptions do not.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

from tinyvision.errors import UserError
from tinyvision.zoo import convolutional, hybrid, mcunet, mobile, tiny
from tinyvision.zoo.describe import Network

if TYPE_CHECKING:
    import keras

__all__ = ["build", "construct", "names", "network"]

NETWORKS: dict[str, Network] = {
    **tiny.NETWORKS,
    **mcunet.NETWORKS,
    **mobile.NETWORKS,
    **convolutional.NETWORKS,
    **hybrid.NETWORKS,
}


def names() -> tuple[str, ...]:
    """The networks of the zoo, in the order in which they are listed."""
    return tuple(NETWORKS)


def network(name: str) -> Network:
    """The description of a network; UserError where there is none of that name."""
    if name not in NETWORKS:
        near = get_close_matches(name, NETWORKS, n=3)
        hint = f"Did you mean {', '.join(near)}?" if near else "`tinyvision zoo` lists them."
        raise UserError(f"the zoo has no network {name!r}", hint=hint)
    return NETWORKS[name]


def build(
    name: str,
    input_shape: tuple[int, int, int] | None = None,
    classes: int | None = None,
    width: float | None = None,
    seed: int | None = None,
) -> keras.Model:
    """A network of the zoo as a float32 functional model.

    Its input is N×H×W×C in [-1, 1): (pixel - 128) / 128, so that an int8 input is pixel - 128
    exactly. Its output is N×classes logits. ``input_shape`` is (H, W, C). What is None is as
    published; ``width`` multiplies every channel count of the network at width 1. ``seed``: the
    initial weights follow from it.
    """
    return construct(network(name), name, input_shape, classes, width, seed)


def construct(
    description: Network,
    name: str = "network",
    input_shape: tuple[int, int, int] | None = None,
    classes: int | None = None,
    width: float | None = None,
    seed: int | None = None,
) -> keras.Model:
    """Like ``build``, of any description."""
    from tinyvision.zoo import blocks

    shape = input_shape or (*description.resolution, description.image_channels)
    _check(shape, classes, width)
    return blocks.construct(
        description.scaled(description.width if width is None else width),
        name,
        shape,
        description.classes if classes is None else classes,
        seed,
    )


def _check(shape: tuple[int, int, int], classes: int | None, width: float | None) -> None:
    if len(shape) != 3 or min(shape) < 1:
        raise UserError(f"the input shape {shape} is not (height, width, channels)")
    if classes is not None and classes < 1:
        raise UserError(f"a network cannot tell {classes} classes apart")
    if width is not None and not 0 < width <= 4:
        raise UserError(f"the width {width} is out of range", hint="Give one above 0, at most 4.")
