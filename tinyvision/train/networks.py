"""Which network a training is of, and how it becomes int8."""

from __future__ import annotations

from dataclasses import dataclass

import keras
import numpy as np

from tinyvision import zoo
from tinyvision.ir.types import Array
from tinyvision.preprocess import Preprocess, real_values
from tinyvision.settings import DataSettings, ModelSettings
from tinyvision.train import data
from tinyvision.train.data.dataset import Dataset
from tinyvision.train.quantization import ptq

DEFAULT = "mcunet-tiny"


@dataclass(frozen=True)
class Choice:
    """A network of the zoo at a width and an input shape."""

    name: str
    width: float
    height: int
    image_width: int
    channels: int

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.height, self.image_width, self.channels

    def build(self, classes: int, seed: int, width: float | None = None) -> keras.Model:
        """In the current precision and ``tf.distribute`` scope; ``width`` instead of its own."""
        return zoo.build(self.name, self.shape, classes, width or self.width, seed)

    def __str__(self) -> str:
        return f"{self.name} at width {self.width:g}, {self.height}x{self.image_width}"


def choose(model: ModelSettings, source: str) -> Choice:
    """What the settings leave open follows from the data's own size, or from the network's."""
    name = model.name or DEFAULT
    network = zoo.network(name)
    resolution, channels = data.DEFAULTS.get(source, (None, network.image_channels))
    side = model.resolution or resolution
    height, width = (side, side) if side else network.resolution
    return Choice(
        name,
        network.width if model.width is None else model.width,
        height,
        width,
        model.channels or channels,
    )


def preprocess_of(choice: Choice, settings: DataSettings) -> Preprocess:
    return Preprocess(*choice.shape, fit=settings.fit)


def quantized(model: keras.Model, dataset: Dataset, samples: int) -> bytes:
    """Post-training int8, calibrated with ``samples`` pictures of the training part."""
    return ptq(model, calibration_images(dataset, samples))


def calibration_images(dataset: Dataset, samples: int) -> Array:
    """``samples`` pictures of the training part as a network sees them, always the same ones."""
    images = dataset.train.images
    chosen = np.random.default_rng(0).permutation(len(images))[:samples]
    return real_values(images[np.sort(chosen)])


def quantized_untrained(model: keras.Model) -> bytes:
    """int8 of a network that has learnt nothing: its size, its operators and their cost are those
    of the trained one.
    """
    pixels = np.random.default_rng(0).integers(0, 256, (4, *model.input_shape[1:]), np.uint8)
    return ptq(model, real_values(pixels))
