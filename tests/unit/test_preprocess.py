"""The one definition of pre-processing."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from tinyvision.errors import UserError
from tinyvision.preprocess import Preprocess, colour, crop, pixel_values, real_values, resize

RNG = np.random.default_rng(0)


def noise(*shape: int):
    return RNG.integers(0, 256, shape, np.uint8)


def test_the_same_size_changes_nothing():
    frame = noise(7, 9, 3)
    assert np.array_equal(Preprocess(7, 9, 3)(frame), frame)


@pytest.mark.parametrize("sizes", [(48, 64, 32, 32), (300, 400, 96, 80), (8, 8, 32, 32)])
def test_resize_is_pillows_antialiased_bilinear_but_for_rounding(sizes):
    frame = noise(*sizes[:2], 3)
    size = (sizes[3], sizes[2])
    pillow = np.asarray(Image.fromarray(frame).resize(size, Image.Resampling.BILINEAR))
    assert np.abs(resize(frame, *sizes[2:]).astype(int) - pillow).max() <= 1


def test_resize_by_hand():
    frame = np.array([0, 10, 20, 200], np.uint8).reshape(1, 4, 1)
    # Weights 3 3 1 at the edge and 1 3 3 after it: half a pixel of triangle is cut off.
    want = [round((3 * 0 + 3 * 10 + 20) / 7), round((10 + 3 * 20 + 3 * 200) / 7)]
    assert resize(frame, 1, 2).ravel().tolist() == want


def test_constant_pictures_stay_constant():
    for size in (1, 3, 50):
        assert (resize(np.full((17, 23, 1), 255, np.uint8), size, size) == 255).all()


def test_crop():
    frame = np.arange(60, dtype=np.uint8).reshape(6, 10, 1)
    assert np.array_equal(crop(frame, 3, 3), frame[:, 2:8])
    assert np.array_equal(crop(frame, 1, 5), frame[2:4])
    assert crop(frame, 1, 1000).shape == (1, 10, 1)


def test_colour():
    assert colour(np.array([[[255, 255, 255], [255, 0, 0]]], np.uint8), 1).ravel().tolist() == [
        255,
        76,
    ]
    assert colour(np.array([[[9]]], np.uint8), 3).ravel().tolist() == [9, 9, 9]


def test_values_of_networks_trained_here_are_exact():
    pixels = np.arange(256, dtype=np.uint8)
    assert np.array_equal(pixel_values(1 / 128, 0), np.arange(-128, 128))
    assert np.array_equal(real_values(pixels) * 128, np.arange(-128, 128))


def test_a_side_that_overflows_32_bits_is_refused():
    with pytest.raises(UserError, match="cannot be reduced"):
        resize(np.zeros((1, 60_000, 1), np.uint8), 1, 2)
