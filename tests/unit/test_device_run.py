"""Pictures: read with care, brought to the input's shape and numbers, classified."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tinyvision import pictures
from tinyvision.device.run import classify, scores, to_input
from tinyvision.errors import UserError
from tinyvision.ir.graph import Graph
from tinyvision.ir.types import DType, QuantParams, Tensor
from tinyvision.preprocess import Preprocess, pixel_range


def load_picture(path, width, height, channels):
    return pictures.load_picture(path, Preprocess(height, width, channels))


def graph(
    shape=(1, 4, 6, 3),
    quant=(1 / 255, -128),
    out=(1 / 256, -128),
    interface=None,
    labels=("cat", "dog"),
) -> Graph:
    tensors = {
        "x": Tensor("x", shape, DType.INT8, QuantParams((quant[0],), (quant[1],))),
        "y": Tensor("y", (1, 3), DType.INT8, QuantParams((out[0],), (out[1],))),
    }
    return Graph("g", tensors, (), ("x",), ("y",), interface or {}, labels)


class Answering:
    """A target that gives the same answer to everything and remembers what it was fed."""

    kind = "host"

    def __init__(self, output) -> None:
        self.output, self.fed = np.array([output], np.int8), []

    def feed(self, inputs) -> None:
        self.fed.append(inputs)

    def run(self, first=0, count=None) -> int:
        return 0

    def fetch(self):
        return [self.output]


@pytest.fixture
def picture(tmp_path):
    def save(array, name="p.png", **options):
        Image.fromarray(np.asarray(array, np.uint8)).save(tmp_path / name, **options)
        return tmp_path / name

    return save


def test_a_picture_of_the_right_size_is_unchanged(picture):
    pixels = np.arange(72, dtype=np.uint8).reshape(4, 6, 3)
    assert np.array_equal(load_picture(picture(pixels), 6, 4, 3), pixels)


def test_grey_and_colour(picture):
    grey = np.full((5, 5), 77, np.uint8)
    assert (load_picture(picture(grey), 2, 2, 3) == 77).all()
    assert load_picture(picture(np.full((5, 5, 3), 9)), 2, 2, 1).shape == (2, 2, 1)
    with_alpha = np.full((5, 5, 4), 200, np.uint8)
    assert load_picture(picture(with_alpha), 2, 3, 3).shape == (3, 2, 3)


def test_sixteen_bits_are_scaled(tmp_path):
    wide = np.array([[0, 255, 256, 32768, 65535]], np.uint16)
    Image.fromarray(wide).save(tmp_path / "wide.png")
    read = load_picture(tmp_path / "wide.png", 5, 1, 1)
    assert read.ravel().tolist() == [0, 0, 1, 128, 255]


def test_upright(tmp_path):
    pixels = np.zeros((10, 20, 3), np.uint8)
    pixels[:, :10] = 255  # left half white
    image = Image.fromarray(pixels)
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rotate right to view
    image.save(tmp_path / "turned.png", exif=exif)
    got = load_picture(tmp_path / "turned.png", 10, 20, 3)
    assert got[:10].min() == 255 and got[10:].max() == 0


@pytest.mark.parametrize(
    ("quant", "values"),
    [
        ((1.0, -128), (0.0, 255.0)),
        ((1 / 255, -128), (0.0, 1.0)),
        ((1 / 127.5, -1), (-1.0, 1.0)),
        ((0.0078125, 0), (-1.0, 127 / 128)),  # trained here
        ((0.0186, -14), (0.0186 * -114, 0.0186 * 141)),  # mean and deviation taken out
    ],
)
def test_pixel_range(quant, values):
    assert pixel_range(*quant) == pytest.approx(values)


def test_to_input_in_each_external_type():
    pixels = np.array([0, 1, 128, 255] * 18, np.uint8).reshape(4, 6, 3)
    want = np.array([-128, -127, 0, 127] * 18).reshape(1, 4, 6, 3)
    assert np.array_equal(to_input(graph(), pixels), want)
    as_uint8 = to_input(graph(interface={"x": DType.UINT8}), pixels)
    assert as_uint8.dtype == np.uint8 and np.array_equal(as_uint8[0], pixels)
    as_float = to_input(graph(interface={"x": DType.FLOAT32}), pixels)
    assert as_float.dtype == np.float32
    assert as_float[0] == pytest.approx(pixels / 255)


def test_scores():
    assert scores(graph(), np.array([[-128, 0, 127]], np.int8)) == pytest.approx(
        [0, 0.5, 255 / 256]
    )
    logits = scores(graph(out=(0.1, 0)), np.array([[10, 20, 30]], np.int8))
    assert logits == pytest.approx(np.exp([1, 2, 3]) / np.exp([1, 2, 3]).sum())


def test_classify(picture):
    target = Answering([-128, 100, 0])
    (result,) = classify(graph(), target, [picture(np.zeros((9, 9, 3)))], top=2)
    assert [c["label"] for c in result["classes"]] == ["dog", "class 2"]
    assert [c["index"] for c in result["classes"]] == [1, 2]
    assert result["classes"][0]["score"] == pytest.approx(228 / 256)
    assert target.fed[0][0].shape == (1, 4, 6, 3) and (target.fed[0][0] == -128).all()


def test_a_model_that_takes_no_pictures(picture):
    with pytest.raises(UserError, match="takes no pictures"):
        classify(graph(shape=(1, 4, 6, 7)), Answering([0, 0, 0]), [picture(np.zeros((9, 9, 3)))])


def test_nothing_runs_before_all_pictures_are_read(picture, tmp_path):
    target = Answering([0, 0, 0])
    with pytest.raises(UserError, match="no such picture"):
        classify(graph(), target, [picture(np.zeros((9, 9, 3))), tmp_path / "none.png"])
    assert target.fed == []


@pytest.mark.parametrize("side", [8_200, 60_000])
def test_large_pictures_are_refused_by_their_header(tmp_path, side):
    def chunk(kind: bytes, data: bytes) -> bytes:
        checksum = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    path = tmp_path / "large.png"
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(99)))
    )
    with pytest.raises(UserError, match=r"too large|exceeds limit"):
        load_picture(path, 4, 4, 3)


def test_what_is_no_picture(tmp_path):
    path = tmp_path / "x.png"
    path.write_bytes(b"%PDF-1.4 not a picture")
    with pytest.raises(UserError, match="cannot be read"):
        load_picture(path, 4, 4, 3)
    with pytest.raises(UserError, match="cannot be read"):
        load_picture(tmp_path, 4, 4, 3)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(["PNG", "JPEG", "GIF", "BMP"]), st.data())
def test_damaged_pictures(tmp_path_factory, kind, data):
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 255, (16, 16, 3), np.uint8)
    Image.fromarray(noise).save(buffer, kind)
    damaged = bytearray(buffer.getvalue())
    for _ in range(data.draw(st.integers(1, 8))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    del damaged[data.draw(st.integers(1, len(damaged))) :]
    path = tmp_path_factory.mktemp("pictures") / f"x.{kind.lower()}"
    path.write_bytes(bytes(damaged))
    try:
        assert load_picture(path, 8, 8, 3).shape == (8, 8, 3)
    except UserError as error:
        assert str(path) in str(error)
