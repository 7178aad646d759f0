"""Training from end to end, with networks that are small even here."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from tinyvision import importer, keras_file, zoo
from tinyvision.build import load, plan
from tinyvision.errors import FitError, UserError
from tinyvision.importer.labels import with_labels
from tinyvision.settings import Settings
from tinyvision.train import budget
from tinyvision.train.networks import choose
from tinyvision.train.quantization import convert
from tinyvision.train.student import AugmentedStudent
from tinyvision.train.trainer import train, train_float
from tinyvision.zoo import mcunet

ROOT = Path(__file__).parents[2]
SMALL = {"name": "ds-cnn", "width": 0.25, "resolution": 16}


def settings(source="digits", model=SMALL, **training) -> Settings:
    return Settings().over(
        data={"source": str(source)},
        model=model,
        training={"epochs": 2, "batch": 256, **training},
        quantization={"samples": 16},
    )


def equal(first, second):
    return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Two epochs of digits, and what was written."""
    folder = tmp_path_factory.mktemp("trained")
    return folder, train(settings(), folder, board="stm32f4")


def test_everything_needed_to_do_it_again_is_written(trained):
    folder, record = trained
    assert json.loads((folder / "training.json").read_text()) == record
    assert record["settings"]["training"]["epochs"] == len(record["history"]) == 2
    assert len(record["data"]["sha256"]) == 64 and record["data"]["test"] == 359
    assert {"tensorflow", "keras", "numpy", "tinyvision"} <= set(record["versions"])
    assert record["cost"]["sram_bytes"] > 0 and 0 <= record["test_accuracy"] <= 1
    assert list((folder / "logs").glob("events.*"))
    assert not (folder / "checkpoint.npz").exists()


def test_what_is_written_compiles_and_knows_its_classes(trained):
    folder, record = trained
    compiled = plan(folder / "model.tflite", "stm32f4")
    assert compiled.graph.labels == tuple("0123456789")
    (name,) = compiled.graph.inputs
    assert compiled.graph.tensor(name).shape == (1, 16, 16, 1)
    assert (compiled.graph.tensor(name).scale, compiled.graph.tensor(name).zero_point) == (
        1 / 128,
        0,
    )
    assert record["cost"]["flash_bytes"] == pytest.approx(compiled.plan.flash_bytes, rel=0.1)


def test_the_keras_file_is_a_model_too(trained, tmp_path, monkeypatch):
    """Quantized with what it was trained with; alone, nobody knows with what."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder, _ = trained
    compiled = plan(folder / "model.keras", "stm32f4")
    assert compiled.graph.labels == tuple("0123456789")
    assert len(list((tmp_path / "cache").rglob("*.tflite"))) == 1
    monkeypatch.setattr(keras_file, "_convert_apart", None)
    assert load(folder / "model.keras").data == compiled.model.data  # kept
    alone = tmp_path / "alone.keras"
    alone.write_bytes((folder / "model.keras").read_bytes())
    with pytest.raises(UserError, match=r"quantize alone\.keras --data"):
        load(alone)


COMMAND = ("train", "--data", "digits", "--model", "ds-cnn", "--width", "0.25")
COMMAND += ("--resolution", "16", "--epochs", "4", "--batch", "256", "--seed", "5")


def start(folder):
    command = [sys.executable, "-m", "tinyvision", *COMMAND, "--out", str(folder)]
    return subprocess.Popen(
        command, env=os.environ | {"PYTHONPATH": str(ROOT)}, stderr=subprocess.PIPE, text=True
    )


def test_a_killed_training_goes_on_as_if_nothing_had_been(tmp_path):
    """And the same seed gives the same weights, in another process too."""
    same = Settings().over(
        data={"source": "digits"}, model=SMALL, training={"epochs": 4, "batch": 256, "seed": 5}
    )
    unbroken = train_float(same, tmp_path / "unbroken").float_model
    killed = start(tmp_path / "killed")
    checkpoint = tmp_path / "killed" / "checkpoint.npz"
    while not checkpoint.exists() and killed.poll() is None:
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert checkpoint.exists() and not (tmp_path / "killed" / "model.keras").exists()

    with pytest.raises(UserError, match="is another one"):
        train(settings(), tmp_path / "killed", resume=True)
    steps = []
    reporter = Recorder(steps)
    resumed = train_float(same, tmp_path / "killed", reporter=reporter).float_model
    assert 0 < len(steps) < 4 * 5  # of 5 steps an epoch, the first epochs' were not done again
    assert equal(unbroken.get_weights(), resumed.get_weights())


class StopAt:
    """Ends a training in the middle of its ``step``-th step."""

    def __init__(self, step):
        self._left = step

    def step(self, done, total, text):
        self._left -= 1
        if not self._left:
            raise KeyboardInterrupt

    def say(self, text): ...
    def warn(self, text): ...
    def reading(self, done, total): ...


def test_simulated_int8_is_trained_on_with_and_goes_on_where_it_was_stopped(tmp_path):
    wanted = settings(epochs=1).over(quantization={"qat": True, "qat_epochs": 2})
    record = train(wanted, tmp_path / "unbroken")
    assert 0 <= record["qat_test_accuracy"] <= 1
    with pytest.raises(KeyboardInterrupt):
        train(wanted, tmp_path / "stopped", reporter=StopAt(5 + 7))  # in the second of two epochs
    steps = []
    train(wanted, tmp_path / "stopped", reporter=Recorder(steps))
    assert len(steps) == 5
    for name in ("model.qat.keras", "model.tflite"):
        assert (tmp_path / "stopped" / name).is_file()
    first, second = (
        (tmp_path / name / "model.tflite").read_bytes() for name in ("unbroken", "stopped")
    )
    assert first == second
    aware = keras.models.load_model(tmp_path / "stopped" / "model.qat.keras", compile=False)
    assert with_labels(convert(aware), tuple("0123456789"), "stretch") == first


class Recorder:
    def __init__(self, steps):
        self.steps, self.warnings = steps, []

    def say(self, text): ...

    def warn(self, text):
        self.warnings.append(text)

    def reading(self, done, total): ...

    def step(self, done, total, text):
        self.steps.append(done)


def test_what_will_not_fit_is_refused_before_the_first_epoch(tmp_path):
    model = {"name": "mcunet-tiny", "width": 0.25, "resolution": 32}
    wanted = settings(model=model).over(budget={"latency": "4ms"})
    steps = []
    with pytest.raises(FitError) as refused:
        train(wanted, tmp_path, board="stm32f4", reporter=Recorder(steps))
    assert not steps and not (tmp_path / "model.keras").exists()
    message = str(refused.value)
    assert "the budget is 4" in message
    side = int(message.split("--resolution ")[1].split()[0])
    smaller = choose(settings(model=model | {"resolution": side}).model, "digits")
    cost = budget.check(smaller, 10, "stm32f4", wanted.budget)
    assert cost is not None and cost.latency_ms <= 4


def test_a_budget_needs_a_board(tmp_path):
    with pytest.raises(UserError, match="--board"):
        train(settings().over(budget={"flash": "1K"}), tmp_path)


def save(path, mode, size):
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(len(path.name)).integers(0, 256, (size[1], size[0], 3), np.uint8)
    Image.fromarray(noise).convert(mode).save(path)


def test_a_folder_with_all_that_folders_have_in_them(tmp_path):
    """Twenty pictures, of them one corrupt, one grey, one of odd size, one with a unicode name."""
    for i in range(8):
        save(tmp_path / "data" / "cats" / f"{i}.jpg", "RGB", (32, 24))
        save(tmp_path / "data" / "dogs" / f"{i}.png", "RGB", (24, 24))
    save(tmp_path / "data" / "cats" / "grey.png", "L", (32, 32))
    save(tmp_path / "data" / "cats" / "odd.png", "RGB", (1, 37))
    save(tmp_path / "data" / "dogs" / "собака 🐕.jpg", "RGB", (20, 30))
    (tmp_path / "data" / "dogs" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 not much of a JPEG")
    done = subprocess.run(
        [sys.executable, "-m", "tinyvision", "train", "--data", "data", "--model", "ds-cnn",
         "--resolution", "16", "--width", "0.25", "--epochs", "1", "--batch", "8",
         "--out", "out", "--json"],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    assert record["classes"] == ["cats", "dogs"]
    assert len(record["data"]["skipped"]) == 1 and "broken.jpg" in done.stderr
    counts = record["data"]
    assert counts["train"] + counts["val"] + counts["test"] == 19
    assert importer.check(tmp_path / "out" / "model.tflite").ok


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    """It has learnt nothing itself."""
    path = tmp_path_factory.mktemp("teacher") / "model.keras"
    zoo.build("ds-cnn", (16, 16, 1), 10, 0.25, 0).save(path)
    return str(path)


@pytest.mark.parametrize("kind", ["feature", "relation"])
def test_distillation(kind, teacher, tmp_path):
    """Of answers and more, from a teacher at another resolution, whose feature map is smaller."""
    student = SMALL | {"resolution": 24}
    wanted = settings(model=student, epochs=1, teacher=teacher, distill=kind)
    (entry,) = train_float(wanted, tmp_path).history
    assert np.isfinite(entry["loss"])


def test_a_network_is_its_own_teacher_inside_a_wider_one(tmp_path):
    result = train_float(settings(epochs=2, teacher="self", netaug=2.0, mixup=0.2), tmp_path)
    assert result.history[1]["loss"] < result.history[0]["loss"]
    plain = zoo.build("ds-cnn", (16, 16, 1), 10, 0.25, 0)
    assert result.float_model.count_params() == plain.count_params()


def test_a_teacher_of_something_else_is_refused(teacher, tmp_path):
    with pytest.raises(UserError, match="does not answer the same question"):
        train(settings("shapes", teacher=teacher), tmp_path)
    with pytest.raises(UserError, match="cannot be read"):
        train(settings(teacher=str(tmp_path / "none.keras")), tmp_path)


def test_patience_ends_a_training_that_brings_nothing(tmp_path):
    wanted = settings(epochs=30, patience=1, learning_rate=1e-7)
    assert len(train_float(wanted, tmp_path).history) < 30


def test_networks_that_are_no_part_of_a_wider_one(monkeypatch):
    small, large = (
        zoo.construct(mcunet.network(8, rows, 16), "x", (16, 16, 1), 2)
        for rows in (((3, 2, 8, 1), (3, 2, 8, 1)), ((3, 2, 16, 1),))
    )
    with pytest.raises(UserError, match="wider network"):
        AugmentedStudent(small, large)
