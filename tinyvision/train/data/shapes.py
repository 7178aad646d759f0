"""Generated pictures of shapes, with the box and the mask of each: data that needs no download."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from tinyvision.preprocess import Pixels
from tinyvision.train.data.dataset import Labels, Samples, Source

CLASSES = ("circle", "cross", "ring", "square", "star", "triangle")
COUNTS = {"train": 2400, "val": 300, "test": 600}
SIZE = 48
_FINE = 4
"""Shapes are drawn so many times as large, and reduced: smooth edges."""


@dataclass(frozen=True)
class Shapes:
    """``images``: ``uint8[n, size, size, 3]``; ``labels[n]`` of ``CLASSES``; ``boxes[n]``: the
    pixels (top, left, bottom, right; the last two exclusive) that the shape touches; ``masks``:
    ``bool[n, size, size]``, true where more than half of the pixel is the shape's.
    """

    images: Pixels
    labels: Labels
    boxes: npt.NDArray[np.int64]
    masks: npt.NDArray[np.bool_]


def source() -> Source:
    """The data set ``shapes``."""
    drawn = {part: draw(count, seed) for seed, (part, count) in enumerate(COUNTS.items())}
    parts = {part: Samples(shapes.images, shapes.labels) for part, shapes in drawn.items()}  # type: ignore[arg-type]
    return Source("shapes", CLASSES, parts)


def draw(count: int, seed: int, size: int = SIZE) -> Shapes:
    """``count`` pictures, the same for the same seed: one shape each, of random kind, colour,
    place, size and turn, on a darker slanted gradient with noise and a few lines.
    """
    random = np.random.default_rng(seed)
    labels = random.permutation(np.arange(count) % len(CLASSES)).astype(np.int64)
    images = np.empty((count, size, size, 3), np.uint8)
    boxes, masks = np.empty((count, 4), np.int64), np.empty((count, size, size), bool)
    for index, label in enumerate(labels):
        cover = _cover(CLASSES[label], size, random)
        images[index] = _paint(cover, random)
        rows, columns = (np.flatnonzero(cover.any(axis=axis)) for axis in (1, 0))
        boxes[index] = rows[0], columns[0], rows[-1] + 1, columns[-1] + 1
        masks[index] = cover > 0.5
    return Shapes(images, labels, boxes, masks)


def _cover(kind: str, size: int, random: np.random.Generator) -> npt.NDArray[np.float64]:
    """``[size, size]``: how much of each pixel the shape covers, 0 to 1."""
    radius = random.uniform(0.2, 0.42) * size
    centre = random.uniform(radius, size - radius, 2)
    turn = random.uniform(0, 2 * math.pi)
    mask = Image.new("L", (size * _FINE, size * _FINE))
    pen = ImageDraw.Draw(mask)

    def points(radii: list[float], start: float = 0.0) -> list[tuple[float, float]]:
        """A polygon's corners at equal angles."""
        angles = [turn + start + 2 * math.pi * i / len(radii) for i in range(len(radii))]
        return [
            (
                (centre[0] + r * math.cos(angle)) * _FINE,
                (centre[1] + r * math.sin(angle)) * _FINE,
            )
            for r, angle in zip(radii, angles, strict=True)
        ]

    if kind in ("circle", "ring"):
        for share, fill in ((1.0, 255), (random.uniform(0.5, 0.65), 0)):
            low, high = (centre - share * radius) * _FINE, (centre + share * radius) * _FINE
            if fill or kind == "ring":
                pen.ellipse([*low, *high], fill=fill)
    elif kind == "cross":
        width = random.uniform(0.25, 0.35)
        for start in (0.0, math.pi / 2):
            half = math.atan(width)
            corners = [
                (
                    (centre[0] + radius * math.cos(turn + start + angle)) * _FINE,
                    (centre[1] + radius * math.sin(turn + start + angle)) * _FINE,
                )
                for angle in (-half, half, math.pi - half, math.pi + half)
            ]
            pen.polygon(corners, fill=255)
    else:
        radii = {
            "square": [radius] * 4,
            "triangle": [radius] * 3,
            "star": [radius, 0.42 * radius] * 5,
        }
        pen.polygon(points(radii[kind]), fill=255)
    fine = np.asarray(mask, np.float64).reshape(size, _FINE, size, _FINE)
    cover: npt.NDArray[np.float64] = fine.mean(axis=(1, 3)) / 255
    return cover


def _paint(cover: npt.NDArray[np.float64], random: np.random.Generator) -> Pixels:
    size = len(cover)
    down, right = np.mgrid[0:size, 0:size] / size
    slope, first, second = random.uniform(0, 1), *random.uniform(0, 127, (2, 3))
    blend = (slope * down + (1 - slope) * right)[..., None]
    ground = Image.fromarray(((1 - blend) * first + blend * second).astype(np.uint8))
    pen = ImageDraw.Draw(ground)
    for _ in range(random.integers(0, 4)):
        ends = [*random.uniform(0, size, 4)]
        pen.line(ends, fill=tuple(int(v) for v in random.integers(0, 256, 3)))
    behind = np.asarray(ground, np.float64)
    ink = random.uniform(128, 255, 3)
    picture = behind + cover[..., None] * (ink - behind)
    picture += random.normal(0, random.uniform(0, 12), picture.shape)
    return np.clip(picture, 0, 255).astype(np.uint8)
