"""`quantize`: data by name, corrections that help, a report that names what is wrong."""

import json

import keras
import numpy as np
import pytest
from keras import layers
from typer.testing import CliRunner

from tests.train.test_qat import SHAPE, pictures
from tinyvision import importer
from tinyvision.cli.common import app
from tinyvision.errors import UserError
from tinyvision.train.quantization import convert, qat
from tinyvision.train.quantization.calibrate import float_outputs
from tinyvision.train.quantization.file import calibration_images
from tinyvision.train.quantization.graph import execute, read
from tinyvision.train.quantization.report import layer_reports, sqnr_db


def uneven(factor: float = 40.0) -> keras.Model:
    """One channel between two layers reaches ``factor`` times as far as it need."""
    keras.utils.set_random_seed(3)
    image = layers.Input(SHAPE)
    x = layers.Conv2D(8, 3, padding="same", activation="relu", name="first")(image)
    x = layers.DepthwiseConv2D(3, padding="same", activation="relu", name="second")(x)
    x = layers.GlobalAveragePooling2D(name="mean")(x)
    model = keras.Model(image, layers.Dense(5, name="logits")(x), name="uneven")
    scale = np.ones(8, np.float32)
    scale[2] = factor
    first, second = model.get_layer("first"), model.get_layer("second")
    first.kernel.assign(first.kernel * scale)
    second.kernel.assign(second.kernel / scale[:, None])
    return model


def simulated(model: keras.Model, images: np.ndarray) -> np.ndarray:
    return np.asarray(model(images, training=False))


def test_equalisation_keeps_the_function_and_evens_out_channels():
    model, images = uneven(), pictures(16)
    plain, even = qat(model, images), qat(model, images, equalize=True)
    exact = np.asarray(model(images))
    (same,) = execute(read(even), keras.ops.convert_to_tensor(images), float_outputs)
    assert np.allclose(same, exact, atol=1e-4)
    before, after = (sqnr_db(exact, simulated(m, images)) for m in (plain, even))
    assert after > before + 6


def test_bias_correction_takes_the_mean_error_away():
    model, images = uneven(), pictures(16)
    exact = np.asarray(model(images))
    plain, mended = qat(model, images), qat(model, images, bias_correction=True)
    before, after = (np.abs((simulated(m, images) - exact).mean(axis=0)) for m in (plain, mended))
    assert after.max() < before.max()


def test_adaptive_rounding_comes_closer_than_rounding_to_nearest():
    keras.utils.set_random_seed(5)
    image = layers.Input(SHAPE)
    x = layers.Conv2D(6, 5, strides=3, activation="relu")(image)
    model = keras.Model(image, layers.Dense(4)(layers.Flatten()(x)))
    images = pictures(32)
    exact = np.asarray(model(images))
    plain, mended = qat(model, images, "mse"), qat(model, images, "mse", adaround=True)
    before, after = (sqnr_db(exact, simulated(m, images)) for m in (plain, mended))
    assert after > before


def test_the_report_names_the_uneven_layer_and_what_helps():
    model, images = uneven(), pictures(8)
    aware = qat(model, images)
    rows = layer_reports(aware, aware, convert(aware), images[:4])
    assert [row.name for row in rows] == ["first", "second", "mean", "logits"]
    first = rows[0]
    assert first.imbalance > 8 and first.saturation == 0
    assert all(20 < row.own_sqnr_db <= 99 for row in rows)
    worst = min(rows, key=lambda row: row.sqnr_db)
    assert worst.sqnr_db < rows[0].sqnr_db
    even = qat(model, images, equalize=True)
    better = layer_reports(even, even, convert(even), images[:4])
    assert better[-1].sqnr_db > rows[-1].sqnr_db


def test_the_command_writes_the_file_and_reports(tmp_path):
    uneven().save(tmp_path / "net.keras")
    pixels = np.random.default_rng(0).integers(0, 256, (8, *SHAPE)).astype(np.uint8)
    np.savez(tmp_path / "pixels.npz", images=pixels)
    arguments = ["quantize", str(tmp_path / "net.keras"), "--data", str(tmp_path / "pixels.npz")]
    result = CliRunner().invoke(app, [*arguments, "--report", "--json"])
    assert result.exit_code == 0, result.output
    printed = json.loads(result.stdout)
    assert printed["size_bytes"] == (tmp_path / "net.tflite").stat().st_size
    assert [row["name"] for row in printed["layers"]] == ["first", "second", "mean", "logits"]
    assert importer.load(tmp_path / "net.tflite").ops
    shown = CliRunner().invoke(app, [*arguments, "--report", "--equalize"])
    assert shown.exit_code == 0 and "SQNR" in shown.stdout


def test_calibration_data_by_name_and_what_is_no_data(tmp_path):
    images = calibration_images("digits", (16, 16, 1), 5)
    assert images.shape == (5, 16, 16, 1) and images.dtype == np.float32
    assert images.min() >= -1 and images.max() <= 127 / 128
    for content in ({"labels": np.zeros(3)}, {"images": np.zeros((2, 4), np.float64)}):
        np.savez(tmp_path / "bad.npz", **content)
        with pytest.raises(UserError, match="holds no pictures"):
            calibration_images(str(tmp_path / "bad.npz"), SHAPE, 4)
    (tmp_path / "bad.npz").write_bytes(b"no archive")
    with pytest.raises(UserError, match="no arrays that can be read"):
        calibration_images(str(tmp_path / "bad.npz"), SHAPE, 4)
