"""Does a teacher help a tiny student? Test accuracy with and without, over seeds.

Usage: python bench/distillation.py [--data shapes] [--seeds 5] [--kinds response feature relation]

Minutes on two cores. The same command gives the same figures.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from tinyvision.settings import Settings
from tinyvision.train.needs import require_tensorflow

TEACHER = {"name": "mcunet-tiny", "width": 2.0}
STUDENT = {"name": "mcunet-tiny", "width": 0.25}


def accuracy(data: str, model: dict[str, Any], out: Path, **training: Any) -> float:
    """On the test part, of a network trained as given."""
    from tinyvision.train.trainer import train

    settings = Settings().over(data={"source": data}, model=model, training=training)
    return float(train(settings, out)["test_accuracy"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="shapes")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=8, help="of a student")
    parser.add_argument("--teacher-epochs", type=int, default=12)
    parser.add_argument("--kinds", nargs="+", default=["response"])
    arguments = parser.parse_args()
    require_tensorflow()
    with tempfile.TemporaryDirectory(prefix="tinyvision.") as name:
        folder = Path(name)
        reached = accuracy(
            arguments.data, TEACHER, folder / "teacher", epochs=arguments.teacher_epochs
        )
        print(f"teacher: {reached:.2%}", flush=True)
        variants: dict[str, dict[str, Any]] = {"none": {}}
        for kind in arguments.kinds:
            teacher = str(folder / "teacher" / "model.keras")
            variants[kind] = {"teacher": teacher, "distill": kind}
        for kind, options in variants.items():
            results = [
                accuracy(
                    arguments.data,
                    STUDENT,
                    folder / f"{kind}{seed}",
                    epochs=arguments.epochs,
                    seed=seed,
                    **options,
                )
                for seed in range(arguments.seeds)
            ]
            spread = stdev(results) if len(results) > 1 else 0.0
            each = " ".join(f"{value:.2%}" for value in results)
            print(f"{kind}: {mean(results):.2%} ± {spread:.2%} ({each})", flush=True)


if __name__ == "__main__":
    main()
