"""Sources of training data: folders and tables nobody vouches for, built-in and named sets."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from tinyvision.errors import UserError
from tinyvision.preprocess import Preprocess
from tinyvision.train import data
from tinyvision.train.data import shapes
from tinyvision.train.data.dataset import Split
from tinyvision.train.data.prepare import split_off

RNG = np.random.default_rng(0)


def save(path, mode="RGB", size=(20, 16), **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = RNG.integers(0, 256, (size[1], size[0], 4), np.uint8)
    picture = Image.fromarray(noise, "RGBA")
    (picture if mode == "RGBA" else picture.convert("RGB").convert(mode)).save(path, **options)


@pytest.fixture
def folder(tmp_path):
    """Twenty pictures: grey, palette, alpha, odd sizes, a turned one, unicode names, and a corrupt
    one; and files that are no pictures.
    """
    for i in range(6):
        save(tmp_path / "cats" / f"{i}.jpg", size=(40 + i, 30))
        save(tmp_path / "dögs" / f"{i}.png", size=(31, 57 + 3 * i))
    exif = Image.Exif()
    exif[0x0112] = 6
    save(tmp_path / "cats" / "turned.jpg", exif=exif)
    save(tmp_path / "cats" / "grey.png", "L")
    save(tmp_path / "cats" / "deep" / "палитра.png", "P")
    save(tmp_path / "dögs" / "alpha.png", "RGBA", size=(1, 3))
    save(tmp_path / "dögs" / "猫.webp")
    save(tmp_path / "dögs" / "two.tif")
    save(tmp_path / "dögs" / "bits.png", "1")
    (tmp_path / "dögs" / "broken.jpg").write_bytes((tmp_path / "cats" / "0.jpg").read_bytes()[:200])
    (tmp_path / "dögs" / "notes.txt").write_text("no picture")
    (tmp_path / "dögs" / ".hidden.png").write_text("no picture")
    (tmp_path / ".git").mkdir()
    return tmp_path


@pytest.mark.parametrize("channels", [1, 3])
def test_a_folder_of_all_kinds(folder, channels):
    seen = []
    preprocess = Preprocess(24, 32, channels)
    loaded = data.load(str(folder), preprocess, lambda done, total: seen.append((done, total)))
    assert loaded.classes == ("cats", "dögs")
    assert len(loaded.skipped) == 1 and "broken.jpg" in loaded.skipped[0]
    parts = (loaded.train, loaded.val, loaded.test)
    assert [len(part) for part in parts] == [13, 2, 4]
    assert all(part.images.shape[1:] == (24, 32, channels) for part in parts)
    assert seen[-1] == (20, 20)
    assert loaded.hash == data.load(str(folder), preprocess).hash
    assert loaded.hash != data.load(str(folder), Preprocess(24, 32, channels, "crop")).hash


def test_a_folder_with_splits(tmp_path):
    for part, count in (("train", 4), ("validation", 2), ("test", 3)):
        for label in ("a", "b"):
            for i in range(count):
                save(tmp_path / part / label / f"{i}.png")
    loaded = data.load(str(tmp_path), Preprocess(8, 8, 3))
    assert [len(part) for part in (loaded.train, loaded.val, loaded.test)] == [8, 4, 6]


def test_a_table(tmp_path):
    lines = ["path,label,split"]
    for i in range(6):
        save(tmp_path / "pictures" / f"{i}.png")
        lines.append(f"pictures/{i}.png,{'even' if i % 2 == 0 else 'odd'},{'test' * (i > 3)}")
    lines.append("pictures/missing.png,odd,")
    table = tmp_path / "table.csv"
    table.write_text("\ufeff" + "\n".join(lines), encoding="utf-8")
    loaded = data.load(str(table), Preprocess(8, 8, 1))
    assert (loaded.classes, len(loaded.test)) == (("even", "odd"), 2)
    assert "missing.png" in loaded.skipped[0]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("file,class\na.png,x\n", "no column 'path'"),
        ("path,label,split\na.png,x,holdout\n", "no split 'holdout'"),
        ("path,label\n", "no pictures"),
        ("path,label\na.png,x\nb.png,y\n", "nothing to tell apart"),
    ],
)
def test_tables_that_cannot_be_used(tmp_path, text, why):
    table = tmp_path / "table.csv"
    table.write_text(text)
    with pytest.raises(UserError, match=why):
        data.load(str(table), Preprocess(8, 8, 1))


def test_an_empty_folder_says_what_to_do(tmp_path):
    with pytest.raises(UserError, match="folder for each class"):
        data.load(str(tmp_path), Preprocess(8, 8, 1))


def test_a_name_that_is_nothing_offers_the_nearest():
    with pytest.raises(UserError, match="Is it cifar10"):
        data.load("cifar", Preprocess(8, 8, 1))


def test_splits_take_of_every_class():
    labels = np.array([0] * 50 + [1] * 3 + [2] * 2)
    images = np.arange(55, dtype=np.uint8).reshape(55, 1, 1, 1)
    rest, test = split_off(Split(images, labels), 0.2)
    assert np.bincount(test.labels).tolist() == [10, 1]
    together = np.concatenate([rest.images, test.images]).ravel()
    assert sorted(together.tolist()) == list(range(55))


def test_class_weights_make_classes_count_alike():
    labels = np.array([0] * 30 + [2] * 10)
    part = Split(np.zeros((40, 1, 1, 1), np.uint8), labels)
    weights = data.Dataset("x", ("a", "b", "c"), Preprocess(1, 1, 1), part, part, part)
    assert weights.class_weights().tolist() == pytest.approx([2 / 3, 0, 2])


def test_digits():
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    loaded = data.load("digits", Preprocess(32, 32, 1))
    assert [len(part) for part in (loaded.train, loaded.val, loaded.test)] == [1295, 143, 359]
    assert loaded.train.images.max() > 240 and loaded.train.images.min() == 0


def test_shapes_are_where_boxes_and_masks_say():
    drawn = shapes.draw(60, seed=3)
    assert np.array_equal(drawn.images, shapes.draw(60, seed=3).images)
    assert np.bincount(drawn.labels).tolist() == [10] * 6
    for (top, left, bottom, right), mask in zip(drawn.boxes, drawn.masks, strict=True):
        assert mask.sum() > 20
        assert mask[top:bottom, left:right].sum() == mask.sum()
        assert 0 <= top < bottom <= shapes.SIZE and 0 <= left < right <= shapes.SIZE


def test_tensorflow_datasets(monkeypatch):
    """With a stand-in for the package, which CI has no network to feed."""
    rows = [
        {"image": RNG.integers(0, 256, (12, 9 + i, 3), np.uint8), "label": i % 2 if i < 9 else -1}
        for i in range(10)
    ]
    builder = SimpleNamespace(
        download_and_prepare=lambda: None,
        info=SimpleNamespace(
            features={"image": None, "label": SimpleNamespace(names=["cat", "dog"])},
            splits={"train": None, "test": None},
        ),
        as_dataset=lambda split, shuffle_files: rows,
    )
    fake = ModuleType("tensorflow_datasets")
    fake.builder, fake.as_numpy = lambda name: builder, lambda rows: rows
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", fake)
    loaded = data.load("tfds:cats_vs_dogs", Preprocess(8, 8, 3))
    assert (loaded.name, loaded.classes) == ("tfds:cats_vs_dogs", ("cat", "dog"))
    assert (len(loaded.test), len(loaded.train) + len(loaded.val)) == (9, 9)

    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    with pytest.raises(UserError, match="pip install tensorflow-datasets"):
        data.load("tfds:cats_vs_dogs", Preprocess(8, 8, 3))
