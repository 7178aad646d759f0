"""Writes MobileNetV2 1.0 with seeded random int8 weights, to see how a large network is planned.

python -m tools.make_mobilenet_v2 OUT.tflite [--size 224]
"""

from __future__ import annotations

import argparse
from pathlib import Path

from tests.support.mobilenet import mobilenet_v2
from tests.support.tflite_writer import write


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--size", type=int, default=224)
    options = parser.parse_args()
    options.out.write_bytes(write(mobilenet_v2(options.size)))


if __name__ == "__main__":
    main()
