"""The integer transforms are Winograd's, and their bounds are what they can reach."""

from __future__ import annotations

import numpy as np
import pytest

from tinyvision.ir.types import Array
from tinyvision.kernels.winograd import FOUR, TWO, Transform, is_exact, transformed

LAST = {  # A transposed (Lavin and Gray, section 4), columns scaled as the rows of G are.
    2: np.array([[2, 1, 1, 0], [0, 1, -1, -2]]),
    4: np.array(
        [[2, 4, 4, 1, 1, 0], [0, 4, -4, 2, -2, 0], [0, 4, 4, 4, 4, 0], [0, 4, -4, 8, -8, 8]]
    ),
}


def convolve(x: Array, w: Array) -> Array:
    """(m, m) of inputs (n, n, depth) and a kernel (3, 3, depth)."""
    windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(0, 1))
    result: Array = np.einsum("ijdkl,kld->ij", windows, w)
    return result


@pytest.mark.parametrize("transform", [TWO, FOUR])
def test_equal_to_a_convolution_times_the_scale(transform: Transform) -> None:
    rng = np.random.default_rng(0)
    edge, last = transform.edge, LAST[transform.size]
    x = rng.integers(0, 256, (edge, edge, 5))
    w = rng.integers(-128, 128, (1, 3, 3, 5))
    spread = np.array(transform.inputs)
    inputs = np.einsum("ik,jl,kld->ijd", spread, spread, x)
    assert np.abs(inputs).max() <= transform.largest_input < 2**15
    products = inputs * transformed(w, transform).reshape(edge, edge, 5)
    outputs = last @ products.sum(axis=2) @ last.T
    scale = transform.odd * 2 ** max(transform.shifts)
    np.testing.assert_array_equal(outputs, scale**2 * convolve(x, w[0]))


def test_reduced_outputs_lack_the_powers_of_two_that_the_shifts_lack() -> None:
    for transform in (TWO, FOUR):
        common = np.gcd.reduce(LAST[transform.size], axis=1)
        missing = 2 ** (max(transform.shifts) - np.array(transform.shifts))
        assert (common % missing == 0).all()


@pytest.mark.parametrize("transform", [TWO, FOUR])
def test_bounds_are_kept_to_the_last_bit(transform: Transform) -> None:
    most = (2**31 - 1 >> 2 * max(transform.shifts)) // 255
    taps = -(-most // (9 * 127))
    weights = np.zeros((1, 3, 3, taps), np.int8)
    flat = weights.reshape(-1)
    flat[: most // 127] = 127
    flat[most // 127] = most % 127
    assert is_exact(weights, transform)
    flat[most // 127] += 1
    assert not is_exact(weights, transform)
