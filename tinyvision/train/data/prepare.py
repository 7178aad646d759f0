"""A source's frames, pre-processed and split: what is read once, before the first epoch."""

from __future__ import annotations

import itertools
import math
import os
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from tinyvision.errors import UserError
from tinyvision.preprocess import Pixels, Preprocess
from tinyvision.train.data.dataset import Dataset, Labels, Samples, Source, Split

VAL_FRACTION, TEST_FRACTION = 0.1, 0.2
MEMORY_BYTES = 1 << 30
"""What a split may take in memory; a larger one lies in a temporary file."""
_SEED = 0
"""Of the split: the same whatever the seed of the training, so that runs can be compared."""


def prepare(
    source: Source, preprocess: Preprocess, progress: Callable[[int, int], None] | None = None
) -> Dataset:
    """Reads every frame of ``source``; those that cannot be read are skipped and named.

    ``progress(done, total)`` after each. UserError where less than two classes are left.
    """
    total = sum(len(samples.labels) for samples in source.parts.values())
    done = itertools.count(1)

    def advance() -> None:
        if progress is not None:
            progress(next(done), total)

    splits: dict[str, Split] = {}
    skipped: list[str] = []
    for name, samples in source.parts.items():
        splits[name], problems = _read(samples, preprocess, advance)
        skipped += problems
    train = splits["train"]
    classes = np.unique(train.labels)
    if len(classes) < 2:
        raise UserError(
            "there is nothing to tell apart",
            source.name,
            f"pictures of {len(classes)} class(es) can be read"
            + (f"; the first that cannot: {skipped[0]}" if skipped else ""),
            "Give a folder with a folder of pictures for each class.",
        )
    for name, fraction in (("test", TEST_FRACTION), ("val", VAL_FRACTION)):
        if name not in splits or not len(splits[name]):
            train, splits[name] = split_off(train, fraction)
    return Dataset(
        source.name,
        source.classes,
        preprocess,
        train,
        splits["val"],
        splits["test"],
        tuple(skipped),
    )


def split_off(split: Split, fraction: float) -> tuple[Split, Split]:
    """What is left, and about ``fraction`` of each class: one at least where a class has three."""
    random = np.random.default_rng(_SEED)
    chosen = np.zeros(len(split), bool)
    for label in np.unique(split.labels):
        mine = random.permutation(np.flatnonzero(split.labels == label))
        count = max(round(fraction * len(mine)), 1) if len(mine) >= 3 else 0
        chosen[mine[:count]] = True
    return _subset(split, ~chosen), _subset(split, chosen)


def _subset(split: Split, keep: npt.NDArray[np.bool_]) -> Split:
    return Split(split.images[keep], split.labels[keep])


def _read(
    samples: Samples, preprocess: Preprocess, progress: Callable[[], None]
) -> tuple[Split, list[str]]:
    count = len(samples.labels)
    shape = (count, preprocess.height, preprocess.width, preprocess.channels)
    images, good = _allocate(shape), np.ones(count, bool)
    problems = []

    def one(index: int) -> str | None:
        try:
            images[index] = preprocess(samples.frames[index])
        except UserError as error:
            return str(error)
        return None

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for index, problem in enumerate(pool.map(one, range(count))):
            if problem is not None:
                good[index] = False
                problems.append(problem)
            progress()
    labels: Labels = samples.labels
    return (Split(images, labels) if good.all() else Split(images[good], labels[good])), problems


def _allocate(shape: tuple[int, ...]) -> Pixels:
    if math.prod(shape) <= MEMORY_BYTES:
        return np.empty(shape, np.uint8)
    return np.memmap(tempfile.TemporaryFile(), np.uint8, "w+", shape=shape)
