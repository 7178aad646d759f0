"""Data sets that Keras downloads, by name."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from tinyvision.errors import UserError
from tinyvision.preprocess import Preprocess
from tinyvision.train import data


def test_keras_sets_by_name(monkeypatch):
    images = np.random.default_rng(0).integers(0, 256, (40, 28, 28), np.uint8)
    labels = np.arange(40) % 10
    monkeypatch.setattr(
        keras.datasets.mnist, "load_data", lambda: ((images, labels), (images[:20], labels[:20]))
    )
    loaded = data.load("mnist", Preprocess(28, 28, 1))
    assert (len(loaded.test), loaded.classes[3]) == (20, "3")
    assert np.array_equal(loaded.test.images[..., 0], images[:20])

    def offline():
        raise Exception("URL fetch failure on https://...\nmore")

    monkeypatch.setattr(keras.datasets.mnist, "load_data", offline)
    with pytest.raises(UserError, match="cannot be downloaded: URL fetch failure"):
        data.load("mnist", Preprocess(28, 28, 1))
