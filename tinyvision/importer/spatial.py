"""Pooling, padding, resizing and MEAN."""

from __future__ import annotations

from collections.abc import Callable

from tinyvision.importer import schema
from tinyvision.importer.convolution import spatial_step, window_padding
from tinyvision.importer.site import Site
from tinyvision.ir import ops
from tinyvision.ir.ops import Op, PadMode

Converter = Callable[[Site], list[Op]]

MAX_PAD = 1 << 15


def pool(kind: type[ops.AveragePool2D] | type[ops.MaxPool2D]) -> Converter:
    """TFLite copies integers: input and output must be quantized alike."""

    def convert(site: Site) -> list[Op]:
        site.count((1,))
        x, y = site.int8_input(), site.int8_output()
        site.quantized_alike(x, y)
        window = spatial_step(site, "window", ("filter_height", "filter_width"))
        stride = spatial_step(site, "stride")
        padding = window_padding(site, x, window, stride, (1, 1))
        clamp = site.clamp(y)
        return [
            kind(
                name=site.name,
                inputs=(x.name,),
                outputs=(y.name,),
                window=window,
                stride=stride,
                padding=padding,
                clamp=clamp,
            )
        ]

    return convert


def pad(site: Site) -> list[Op]:
    """PAD fills with the output's zero point."""
    site.count((2,))
    return _pad(site, PadMode.CONSTANT, site.int8_output().zero_point)


def pad_with_value(site: Site) -> list[Op]:
    """PADV2: the value is quantized as the output is."""
    site.count((3,))
    value, y = site.int8_input(2), site.int8_output()
    site.quantized_alike(y, value)
    if value.data is None or value.elements != 1:
        site.stop("its padding value is not one constant", value.name)
    return _pad(site, PadMode.CONSTANT, int(value.data.reshape(-1)[0]))


def mirror_pad(site: Site) -> list[Op]:
    site.count((2,))
    return _pad(site, PadMode[site.choice("mode", schema.MIRROR_PAD_MODES)], 0)


def _pad(site: Site, mode: PadMode, value: int) -> list[Op]:
    x, y = site.int8_input(), site.int8_output()
    site.quantized_alike(x, y)
    flat = site.integer_list(1, "pads", 2 * len(x.shape))
    if not all(0 <= side < MAX_PAD for side in flat):
        site.stop(f"its pads {flat} are out of range")
    pads = tuple(zip(flat[::2], flat[1::2], strict=True))
    return [
        ops.Pad(
            name=site.name,
            inputs=(x.name,),
            outputs=(y.name,),
            pads=pads,
            mode=mode,
            value=value,
        )
    ]


def resize(kind: type[ops.ResizeNearest] | type[ops.ResizeBilinear]) -> Converter:
    def convert(site: Site) -> list[Op]:
        site.count((2,))
        x, y = site.int8_input(), site.int8_output()
        site.quantized_alike(x, y)
        if len(x.shape) != 4:
            site.stop(f"its input must have four axes, not the shape {x.shape}", x.name)
        size = site.integer_list(1, "sizes", 2)
        y = site.shaped(y, (x.shape[0], *size, x.shape[3]))
        if kind is ops.ResizeBilinear:
            site.ignore("new_height", "new_width")  # deprecated, replaced by the second input
        align, half = site.flag("align_corners"), site.flag("half_pixel_centers")
        if align and half and kind is ops.ResizeBilinear:
            site.refuse("align_corners and half_pixel_centers exclude each other")
        return [
            kind(
                name=site.name,
                inputs=(x.name,),
                outputs=(y.name,),
                align_corners=align,
                half_pixel_centers=half,
            )
        ]

    return convert


def mean(site: Site) -> list[Op]:
    site.count((2,))
    x, y = site.int8_input(), site.int8_output()
    stated = site.integer_list(1, "axes")
    axes = tuple(sorted({site.axis(axis, len(x.shape)) for axis in stated}))
    if not axes:
        site.stop("it has no axes")
    site.factor(x.scale / y.scale)
    return [
        ops.Mean(
            name=site.name,
            inputs=(x.name,),
            outputs=(y.name,),
            axes=axes,
            keep_dims=site.flag("keep_dims"),
        )
    ]
