"""Does a teacher help a tiny student that has few pictures? Test accuracy with and without one.

Usage: python bench/distillation.py [--pictures 20] [--seeds 5] [--kinds response feature relation]

The teacher, eight times as wide, has learnt from the whole training part of the digits; a student
has ``--pictures`` of each class (0: all), others for every seed. All are tested with the same test
part. Ten minutes on two cores; the same command gives the same figures.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np
from PIL import Image

from tinyvision.preprocess import Preprocess
from tinyvision.settings import DISTILLATIONS, Settings
from tinyvision.train.needs import require_tensorflow

SIDE = 16
TEACHER = {"name": "mcunet-tiny", "width": 2.0, "resolution": SIDE, "channels": 1}
STUDENT = TEACHER | {"width": 0.25}


def accuracy(data: Path, model: dict[str, Any], out: Path, **training: Any) -> float:
    """On the test part, of a network trained as given."""
    from tinyvision.train.trainer import train

    settings = Settings().over(
        data={"source": str(data)}, model=model, training={"flip": False, **training}
    )
    return float(train(settings, out)["test_accuracy"])


def write_digits(folder: Path, each: int, seed: int) -> Path:
    """A folder of pictures in three parts, with ``each`` of a class to train with (0: all)."""
    from tinyvision.train.data import load

    digits = load("digits", Preprocess(SIDE, SIDE, 1))
    random = np.random.default_rng(seed)
    for part, split in (("train", digits.train), ("val", digits.val), ("test", digits.test)):
        for label, name in enumerate(digits.classes):
            chosen = random.permutation(np.flatnonzero(split.labels == label))
            place = folder / part / name
            place.mkdir(parents=True)
            for index in chosen[: each if part == "train" and each else None]:
                Image.fromarray(split.images[index, :, :, 0]).save(place / f"{index}.png")
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=int, default=20, help="of each class; 0: all")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=120, help="of a student")
    parser.add_argument("--teacher-epochs", type=int, default=30)
    parser.add_argument("--kinds", nargs="+", default=["response"], choices=DISTILLATIONS)
    arguments = parser.parse_args()
    require_tensorflow()
    with tempfile.TemporaryDirectory(prefix="tinyvision.") as name:
        folder = Path(name)
        everything = write_digits(folder / "all", 0, 0)
        reached = accuracy(everything, TEACHER, folder / "teacher", epochs=arguments.teacher_epochs)
        print(f"teacher: {reached:.2%}", flush=True)
        few = [
            write_digits(folder / f"few{seed}", arguments.pictures, seed)
            for seed in range(arguments.seeds)
        ]
        variants: dict[str, dict[str, Any]] = {"none": {}}
        for kind in arguments.kinds:
            teacher = str(folder / "teacher" / "model.keras")
            variants[kind] = {"teacher": teacher, "distill": kind}
        for kind, options in variants.items():
            results = [
                accuracy(
                    data,
                    STUDENT,
                    folder / f"{kind}{seed}",
                    epochs=arguments.epochs,
                    seed=seed,
                    **options,
                )
                for seed, data in enumerate(few)
            ]
            spread = stdev(results) if len(results) > 1 else 0.0
            each = " ".join(f"{value:.2%}" for value in results)
            print(f"{kind}: {mean(results):.2%} ± {spread:.2%} ({each})", flush=True)


if __name__ == "__main__":
    main()
