"""STRIDED_SLICE's begins, ends, strides and five masks, resolved for a known shape."""

from __future__ import annotations

from dataclasses import dataclass

from tinyvision.importer.site import Site


@dataclass(frozen=True)
class Slices:
    """For each axis of the input: the first index, the step and the number of indices taken.

    ``shape`` is the output's: ``counts`` without the shrunk axes and with the new ones.
    """

    begins: tuple[int, ...]
    strides: tuple[int, ...]
    counts: tuple[int, ...]
    shape: tuple[int, ...]


def strided_slices(site: Site, shape: tuple[int, ...]) -> Slices:
    """Resolves the operator's operands and options; bit i of a mask concerns entry i.

    Source of the meaning: TensorFlow's documentation of tf.strided_slice. Ends are clipped to the
    input as Python clips them; indices of shrunk axes are not.
    """
    begins = site.integer_list(1, "begins")
    ends = site.integer_list(2, "ends", len(begins))
    steps = site.integer_list(3, "strides", len(begins))
    begin_mask, end_mask = site.option("begin_mask"), site.option("end_mask")
    shrink_mask, new_mask = site.option("shrink_axis_mask"), site.option("new_axis_mask")
    ellipsis_mask = site.option("ellipsis_mask")
    if site.flag("offset"):
        site.stop("its option offset is not supported")
    entries = range(len(begins))
    ellipses = [i for i in entries if ellipsis_mask >> i & 1]
    new = [i for i in entries if new_mask >> i & 1 and i not in ellipses]
    covered = len(begins) - len(ellipses) - len(new)
    if len(ellipses) > 1 or covered > len(shape):
        site.stop(f"its masks and {len(begins)} entries do not go with an input of shape {shape}")

    spans: list[tuple[int, int, int]] = []
    output: list[int] = []

    def whole_axes(count: int) -> None:
        for _ in range(count):
            extent = shape[len(spans)]
            spans.append((0, 1, extent))
            output.append(extent)

    for i in entries:
        if i in ellipses:
            whole_axes(len(shape) - covered)
            continue
        if i in new:
            output.append(1)
            continue
        extent, step = shape[len(spans)], steps[i]
        if shrink_mask >> i & 1:
            first = begins[i] + extent if begins[i] < 0 else begins[i]
            if begin_mask >> i & 1 or step < 1 or not 0 <= first < extent:
                site.stop(f"index {begins[i]} with stride {step} is not one of {extent}")
            spans.append((first, 1, 1))
            continue
        if step == 0:
            site.stop("its stride is 0")
        indices = range(extent)[
            slice(
                None if begin_mask >> i & 1 else begins[i],
                None if end_mask >> i & 1 else ends[i],
                step,
            )
        ]
        if not indices:
            site.stop(f"it takes nothing from axis {len(spans)} of {shape}")
        # The step over a single index is of no account.
        spans.append((indices[0], step if len(indices) > 1 else 1, len(indices)))
        output.append(len(indices))
    whole_axes(len(shape) - len(spans))
    return Slices(
        begins=tuple(first for first, _, _ in spans),
        strides=tuple(step for _, step, _ in spans),
        counts=tuple(count for _, _, count in spans),
        shape=tuple(output),
    )
