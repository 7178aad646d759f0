"""Pre-processing in C is the numpy definition, bit for bit, under sanitizers."""

from __future__ import annotations

import ctypes
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.support.graph_builder import GraphBuilder
from tests.support.simple_plan import simple_plan
from tinyvision.codegen import emit
from tinyvision.codegen.render import render
from tinyvision.device.host import WARNINGS, compiler
from tinyvision.ir import ops
from tinyvision.ir.types import DType
from tinyvision.preprocess import Preprocess, from_rgb565, pixel_values
from tinyvision.target import CORES, load_board

FORMATS = {"TV_GREY8": 0, "TV_RGB888": 1, "TV_RGB565": 2, "TV_RGB565_SWAPPED": 3}
SOURCE = """
#include "tv_preprocess.h"
void all_rows(const uint8_t *data, uint32_t *in, uint32_t *out, uint32_t crop, uint8_t *pixels);
void all_rows(const uint8_t *data, uint32_t *in, uint32_t *out, uint32_t crop, uint8_t *pixels)
{
    tv_frame_t frame = {data, in[0], in[1], in[2], (tv_pixel_format)in[3]};
    if (crop) {
        frame = tv_frame_crop(frame, out[0], out[1]);
    }
    for (uint32_t y = 0; y < out[0]; y++) {
        tv_preprocess_row(&frame, out[0], out[1], out[2], y, pixels + y * out[1] * out[2]);
    }
}
"""


def library(folder: Path, source: str) -> ctypes.CDLL:
    path = folder / "test.c"
    path.write_text(source)
    checks = ("-fsanitize=undefined", "-fno-sanitize-recover=all")
    command = [compiler(), *WARNINGS, "-O2", "-fPIC", "-shared", *checks, f"-I{folder}"]
    command += [f"-I{folder / 'include'}", f"-I{folder / 'src'}"]
    subprocess.run([*command, str(path), "-o", str(folder / "test.so")], check=True)
    return ctypes.CDLL(str(folder / "test.so"))


@pytest.fixture(scope="module")
def generic(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    folder = tmp_path_factory.mktemp("preprocess")
    (folder / "tv_preprocess.h").write_text(render("tv_preprocess.h.j2", {}))
    return library(folder, SOURCE)


def camera(rng, height, width, kind):
    """The bytes of a frame with two bytes too many in each row, and the frame for numpy."""
    if kind == "TV_GREY8":
        frame = rng.integers(0, 256, (height, width, 1), np.uint8)
        rows = frame.reshape(height, -1)
    elif kind == "TV_RGB888":
        frame = rng.integers(0, 256, (height, width, 3), np.uint8)
        rows = frame.reshape(height, -1)
    else:
        words = rng.integers(0, 1 << 16, (height, width), np.uint16)
        frame = from_rgb565(words)
        order = "<u2" if kind == "TV_RGB565" else ">u2"
        rows = words.astype(order).view(np.uint8).reshape(height, -1)
    return np.ascontiguousarray(np.pad(rows, ((0, 0), (0, 2)))), frame


@pytest.mark.parametrize("kind", FORMATS)
def test_generic(generic, kind):
    rng = np.random.default_rng(FORMATS[kind])
    sizes = [(1, 1, 1, 1), (8, 8, 32, 32), (120, 160, 96, 96), (5, 300, 7, 2), (33, 9, 33, 9)]
    sizes += [tuple(rng.integers(1, 40, 4)) for _ in range(60)]
    for height, width, out_height, out_width in sizes:
        for channels in (1, 3):
            for fit in ("stretch", "crop"):
                data, frame = camera(rng, height, width, kind)
                got = np.zeros((out_height, out_width, channels), np.uint8)
                before = np.array([height, width, data.shape[1], FORMATS[kind]], np.uint32)
                after = np.array(got.shape, np.uint32)
                pointers = (
                    array.ctypes.data_as(ctypes.c_void_p) for array in (data, before, after)
                )
                generic.all_rows(*pointers, int(fit == "crop"), got.ctypes.data_as(ctypes.c_void_p))
                want = Preprocess(out_height, out_width, channels, fit)(frame)
                assert np.array_equal(got, want), (height, width, out_height, out_width, fit)


MODEL_SOURCE = """
#include "tv_picture_preprocess.h"
void whole(const uint8_t *data, uint32_t height, uint32_t width, uint8_t *out);
void whole(const uint8_t *data, uint32_t height, uint32_t width, uint8_t *out)
{
    static uint8_t bank0[1 << 16] TV_ALIGNED(16);
    uint8_t *const bank[] = {bank0, bank0};
    const tv_frame_t frame = {data, height, width, 3 * width, TV_RGB888};
    tv_picture_preprocess(&frame, bank);
    memcpy(out, tv_picture_input0(bank), TV_PICTURE_INPUT0_BYTES);
}
"""


@pytest.mark.parametrize("fit", ["stretch", "crop"])
@pytest.mark.parametrize("quant", [(1 / 128, 0), (1 / 255, -128), (0.0186, -14)])
@pytest.mark.parametrize("external", [DType.INT8, DType.UINT8])
def test_of_a_model(tmp_path, fit, quant, external):
    builder = GraphBuilder("picture")
    x = builder.input((1, 12, 10, 3), quant)
    weights = builder.constant(np.ones((2, 360)), (0.02, 0))
    bias = builder.constant(np.zeros(2), dtype=DType.INT32)
    y = builder.op(ops.FullyConnected, x, weights, bias, quant=(0.3, 0), shape=(1, 2))
    graph = replace(builder.build(y), fit=fit, interface={x: external})
    tensor = graph.tensor(x)
    files = emit(graph, simple_plan(graph, CORES["cortex-m4"]), load_board("host"))
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
    frame = np.random.default_rng(1).integers(0, 256, (30, 50, 3), np.uint8)
    got = np.zeros(tensor.shape, np.int8)
    pointer = got.ctypes.data_as(ctypes.c_void_p)
    data = frame.ctypes.data_as(ctypes.c_void_p)
    library(tmp_path, MODEL_SOURCE).whole(data, *frame.shape[:2], pointer)
    want = pixel_values(*quant)[Preprocess(*tensor.shape[1:], fit)(frame)]
    assert np.array_equal(got[0], want)
