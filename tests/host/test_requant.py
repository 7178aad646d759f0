"""Requantization in C: the general sequence and the fast one are the oracle's double rounding."""

from __future__ import annotations

import ctypes
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from tinyvision.codegen.render import render
from tinyvision.device.host import WARNINGS, compiler
from tinyvision.ir.numerics import multiply_by_quantized_multiplier
from tinyvision.ir.types import Array
from tinyvision.kernels.requant import is_fast

SOURCE = """
#include "tv_kernel.h"
void general(const int32_t *acc, int32_t *out, int32_t count, int32_t multiplier, int32_t shift);
void fast(const int32_t *acc, int32_t *out, int32_t count, int32_t multiplier, int32_t right,
          int32_t zero_point, int32_t ties);
void general(const int32_t *acc, int32_t *out, int32_t count, int32_t multiplier, int32_t shift)
{
    for (int32_t i = 0; i < count; i++) {
        out[i] = tv_requantize(acc[i], multiplier, shift);
    }
}
void fast(const int32_t *acc, int32_t *out, int32_t count, int32_t multiplier, int32_t right,
          int32_t zero_point, int32_t ties)
{
    const int32_t addend = tv_requant_addend(zero_point, right);
    for (int32_t i = 0; i < count; i++) {
        const int32_t tie = ties ? acc[i] >> 31 : 0;
        out[i] = tv_high_mul_add(acc[i] * 2, multiplier, addend + tie) >> right;
    }
}
"""
LOW, HIGH = 2**30, 2**31 - 1
MULTIPLIERS = (LOW, LOW + 1, 3 << 29, 5 << 28, 1518500250, 0x6487ED51, HIGH - 1, HIGH)
ZERO_POINTS = (-128, -1, 0, 127)

Convert = Callable[..., Array]


@pytest.fixture(scope="module", params=["long", "short"])
def convert(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Convert:
    """``convert(function, accumulators, *integers)`` by the C code under UBSan: for cores with
    64-bit products, and for those without.
    """
    folder: Path = tmp_path_factory.mktemp("requant")
    (folder / "tv_kernel.h").write_text(render("tv_kernel.h.j2", {}))
    source, library = folder / "requant.c", folder / "requant.so"
    source.write_text(SOURCE)
    checks = ("-fsanitize=undefined", "-fno-sanitize-recover=all")
    products = ("-DTV_SHORT_MULTIPLY",) if request.param == "short" else ()
    command = [compiler(), *WARNINGS, "-O2", "-fPIC", "-shared", *checks, *products, str(source)]
    subprocess.run([*command, "-o", str(library)], check=True)
    loaded = ctypes.CDLL(str(library))

    def call(function: str, acc: Array, *integers: int) -> Array:
        out = np.empty_like(acc)
        pointer = ctypes.POINTER(ctypes.c_int32)
        arrays = (acc.ctypes.data_as(pointer), out.ctypes.data_as(pointer))
        loaded[function](*arrays, acc.size, *integers)
        return out

    return call


def largest_bound(multiplier: int, right: int, zero_point: int) -> int:
    """The largest magnitude of a sum with which the fast sequence is declared exact, or -1."""
    low, high = -1, 2**31
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (
            (middle, high) if is_fast(middle, multiplier, right, zero_point) else (low, middle)
        )
    return low


def accumulators(bound: int) -> Array:
    """Every sum near zero and near the bounds, and some between."""
    dense = np.arange(-(2**13), 2**13, dtype=np.int64)
    spread = np.random.default_rng(0).integers(-bound, bound, 2**13, endpoint=True)
    values = np.concatenate((dense, dense + bound, dense - bound, spread))
    return values[np.abs(values) <= bound].astype(np.int32)


def fast_cases() -> Iterator[tuple[int, int, int, int]]:
    for multiplier in MULTIPLIERS:
        for right in range(1, 32):
            for zero_point in ZERO_POINTS:
                bound = largest_bound(multiplier, right, zero_point)
                if bound >= 0:
                    yield multiplier, right, zero_point, bound


def test_general_sequence_is_the_oracles(convert: Convert) -> None:
    acc = np.concatenate((accumulators(2**31 - 1), np.array([-(2**31)], np.int32)))
    for multiplier in (0, *MULTIPLIERS):
        for shift in range(-31, 31):
            expected = multiply_by_quantized_multiplier(acc, multiplier, shift)
            np.testing.assert_array_equal(convert("general", acc, multiplier, shift), expected)


def test_fast_sequence_is_the_oracles(convert: Convert) -> None:
    """And without care for ties where the clamp hides them."""
    for multiplier, right, zero_point, bound in fast_cases():
        acc = accumulators(bound)
        expected = multiply_by_quantized_multiplier(acc, multiplier, -right) + zero_point
        got, careless = (
            convert("fast", acc, multiplier, right, zero_point, ties) for ties in (1, 0)
        )
        what = f"{multiplier} >> {right} + {zero_point}"
        np.testing.assert_array_equal(got, expected, what)
        np.testing.assert_array_equal(
            np.maximum(careless, zero_point), np.maximum(expected, zero_point), what
        )


def test_ties_need_care_elsewhere(convert: Convert) -> None:
    acc = np.array([-2], np.int32)
    assert multiply_by_quantized_multiplier(acc, LOW, -1)[0] == -1
    assert convert("fast", acc, LOW, 1, 0, 0)[0] == 0
    assert convert("fast", acc, LOW, 1, 0, 1)[0] == -1


def test_practical_layers_are_fast() -> None:
    """3x3x512 taps of the largest weights, a ratio of 2**-8, any zero point."""
    assert all(is_fast(4608 * 127 * 255, HIGH, 8, zero_point) for zero_point in ZERO_POINTS)
