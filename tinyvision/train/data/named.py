"""Data sets by name: those of Keras and of TensorFlow Datasets (both download), and digits."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyvision.errors import UserError
from tinyvision.preprocess import Preprocess
from tinyvision.train.data.dataset import Samples, Source

KERAS: dict[str, tuple[str, ...]] = {
    "mnist": tuple("0123456789"),
    "fashion_mnist": (
        "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag",
        "Ankle boot",
    ),
    "cifar10": (
        "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
    ),
    "cifar100": tuple(f"class {number}" for number in range(100)),
}  # fmt: skip


def digits() -> Source:
    """scikit-learn's 1,797 handwritten digits, 8 x 8 pixels in grey."""
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        hint = "pip install 'tinyvision[train]'"
        raise UserError("scikit-learn is not installed", "digits", hint=hint) from None
    data = load_digits()
    frames = np.round(data.images * (255 / 16)).astype(np.uint8)[..., None]
    return Source(
        "digits", tuple("0123456789"), {"train": Samples(frames, data.target.astype(np.int64))}
    )


def from_keras(name: str) -> Source:
    """One of ``KERAS``, downloaded once."""
    from keras import datasets

    try:
        (train_x, train_y), (test_x, test_y) = getattr(datasets, name).load_data()
    except Exception as error:  # keras raises a bare one without a network
        raise UserError("the data set cannot be downloaded", name, _first_line(error)) from error

    def samples(images: Any, labels: Any) -> Samples:
        frames = images if images.ndim == 4 else images[..., None]
        return Samples(frames, labels.reshape(-1).astype(np.int64))

    parts = {"train": samples(train_x, train_y), "test": samples(test_x, test_y)}
    return Source(name, KERAS[name], parts)


def from_tfds(name: str, preprocess: Preprocess) -> Source:
    """``name`` as TensorFlow Datasets has it, with features ``image`` and ``label``."""
    try:
        import tensorflow_datasets as tfds
    except ImportError:
        hint = "pip install tensorflow-datasets"
        raise UserError("TensorFlow Datasets is not installed", f"tfds:{name}", hint=hint) from None
    where = f"tfds:{name}"
    try:
        builder = tfds.builder(name)
        builder.download_and_prepare()
        info = builder.info
    except Exception as error:  # of the network, of the name, of the disk: all its own kinds
        raise UserError("the data set cannot be had", where, _first_line(error)) from error
    if not {"image", "label"} <= set(info.features):
        raise UserError("the data set has no images with labels", where, str(list(info.features)))
    parts = {}
    for split, part in (("train", "train"), ("validation", "val"), ("test", "test")):
        if split in info.splits:
            rows = list(tfds.as_numpy(builder.as_dataset(split=split, shuffle_files=False)))
            frames = [preprocess(row["image"]) for row in rows]
            labels = np.array([row["label"] for row in rows], np.int64)
            keep = np.flatnonzero(labels >= 0)  # -1: a test set whose labels are secret
            if len(keep):
                parts[part] = Samples([frames[i] for i in keep], labels[keep])
    if "train" not in parts:
        raise UserError("the data set has no split 'train'", where, str(list(info.splits)))
    return Source(where, tuple(info.features["label"].names), parts)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
