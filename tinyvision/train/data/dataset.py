"""What a source of data gives, and what training takes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from tinyvision.preprocess import Pixels, Preprocess

Labels = npt.NDArray[np.int64]
PARTS = ("train", "val", "test")


@dataclass(frozen=True)
class Samples:
    """``frames[i]``: ``uint8[height, width, 1 or 3]`` of any size, read when asked for; a UserError
    then means that this one cannot be read. ``labels[i]`` counts from 0.
    """

    frames: Sequence[Pixels]
    labels: Labels


@dataclass(frozen=True)
class Source:
    """Pictures with labels, by part. Of the parts ``train`` is there; what is missing of ``val``
    and ``test`` is split off it.
    """

    name: str
    classes: tuple[str, ...]
    parts: Mapping[str, Samples]


@dataclass(frozen=True)
class Split:
    """``images``: ``uint8[count, height, width, channels]``, pre-processed; ``labels[count]``."""

    images: Pixels
    labels: Labels

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Dataset:
    """``skipped``: what could not be read, a message each."""

    name: str
    classes: tuple[str, ...]
    preprocess: Preprocess
    train: Split
    val: Split
    test: Split
    skipped: tuple[str, ...] = ()

    @cached_property
    def hash(self) -> str:
        """SHA-256 of everything training sees: two data sets are the same if this is."""
        digest = hashlib.sha256("\0".join(self.classes).encode())
        for split in (self.train, self.val, self.test):
            digest.update(np.ascontiguousarray(split.images).data)
            digest.update(split.labels.astype("<i8").tobytes())
        return digest.hexdigest()

    def class_weights(self) -> npt.NDArray[np.float32]:
        """The weight of each class that makes all of them count alike in training; their mean over
        the training samples is 1, and a class without samples has 0.
        """
        counts = np.bincount(self.train.labels, minlength=len(self.classes))
        present = np.count_nonzero(counts)
        weights = np.where(counts > 0, counts.sum() / (present * np.maximum(counts, 1)), 0)
        return weights.astype(np.float32)
