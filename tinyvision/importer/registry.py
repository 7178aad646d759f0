"""The operators that are supported: how each is converted, by its number in the schema."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tinyvision.importer import (
    compound,
    convolution,
    dilation,
    elementwise,
    layout,
    spatial,
    static,
)
from tinyvision.importer.site import Site
from tinyvision.ir import ops
from tinyvision.ir.ops import Op

Converter = Callable[[Site], list[Op]]


@dataclass(frozen=True)
class Operator:
    """``version``: the newest whose meaning is known here (TFLite raises it with each new type or
    option). ``convert`` takes int8, ``fold`` constant integers; one of them may be missing.
    """

    name: str
    version: int
    options: str = ""
    convert: Converter | None = None
    fold: static.Fold | None = None


OPERATORS: dict[int, Operator] = {
    0: Operator("ADD", 5, "AddOptions", elementwise.addition(ops.Add)),
    1: Operator("AVERAGE_POOL_2D", 3, "Pool2DOptions", spatial.pool(ops.AveragePool2D)),
    2: Operator(
        "CONCATENATION", 4, "ConcatenationOptions", layout.concatenation, static.concatenation
    ),
    3: Operator("CONV_2D", 8, "Conv2DOptions", convolution.convolution),
    4: Operator("DEPTHWISE_CONV_2D", 7, "DepthwiseConv2DOptions", convolution.depthwise),
    5: Operator("DEPTH_TO_SPACE", 2, "DepthToSpaceOptions", compound.depth_to_space),
    6: Operator("DEQUANTIZE", 6, "DequantizeOptions", elementwise.dequantize),
    9: Operator("FULLY_CONNECTED", 12, "FullyConnectedOptions", convolution.fully_connected),
    14: Operator("LOGISTIC", 3, "", elementwise.logistic),
    17: Operator("MAX_POOL_2D", 3, "Pool2DOptions", spatial.pool(ops.MaxPool2D)),
    18: Operator("MUL", 7, "MulOptions", elementwise.multiplication),
    19: Operator("RELU", 3, "", elementwise.relu("RELU")),
    20: Operator("RELU_N1_TO_1", 1, "", elementwise.relu("RELU_N1_TO_1")),
    21: Operator("RELU6", 3, "", elementwise.relu("RELU6")),
    22: Operator("RESHAPE", 1, "ReshapeOptions", layout.reshape),
    23: Operator("RESIZE_BILINEAR", 4, "ResizeBilinearOptions", spatial.resize(ops.ResizeBilinear)),
    25: Operator("SOFTMAX", 3, "SoftmaxOptions", elementwise.softmax),
    26: Operator("SPACE_TO_DEPTH", 2, "SpaceToDepthOptions", compound.space_to_depth),
    28: Operator("TANH", 3, "", elementwise.tanh),
    34: Operator("PAD", 4, "PadOptions", spatial.pad),
    36: Operator("GATHER", 7, "GatherOptions", fold=static.gather),
    37: Operator("BATCH_TO_SPACE_ND", 4, "BatchToSpaceNDOptions", dilation.batch_to_space),
    38: Operator("SPACE_TO_BATCH_ND", 4, "SpaceToBatchNDOptions", dilation.space_to_batch),
    39: Operator("TRANSPOSE", 6, "TransposeOptions", layout.transpose),
    40: Operator("MEAN", 3, "ReducerOptions", spatial.mean),
    41: Operator("SUB", 5, "SubOptions", elementwise.addition(ops.Sub)),
    43: Operator("SQUEEZE", 2, "SqueezeOptions", layout.squeeze),
    45: Operator(
        "STRIDED_SLICE", 8, "StridedSliceOptions", layout.strided_slice, static.strided_slice
    ),
    49: Operator("SPLIT", 4, "SplitOptions", layout.split),
    53: Operator("CAST", 7, "CastOptions", fold=static.cast),
    54: Operator("PRELU", 1, "", elementwise.prelu),
    55: Operator("MAXIMUM", 4, "MaximumMinimumOptions", elementwise.extremum(ops.Maximum)),
    57: Operator("MINIMUM", 4, "MaximumMinimumOptions", elementwise.extremum(ops.Minimum)),
    60: Operator("PADV2", 4, "PadV2Options", spatial.pad_with_value),
    65: Operator("SLICE", 6, "SliceOptions", layout.slice_),
    67: Operator("TRANSPOSE_CONV", 5, "TransposeConvOptions", convolution.transpose_convolution),
    69: Operator("TILE", 3, "TileOptions", compound.tile),
    70: Operator("EXPAND_DIMS", 1, "ExpandDimsOptions", layout.expand_dims),
    77: Operator("SHAPE", 1, "ShapeOptions", fold=static.shape),
    81: Operator("REDUCE_PROD", 2, "ReducerOptions", fold=static.product),
    82: Operator("REDUCE_MAX", 3, "ReducerOptions", compound.reduce_max),
    83: Operator("PACK", 4, "PackOptions", compound.pack, static.pack),
    88: Operator("UNPACK", 4, "UnpackOptions", compound.unpack),
    97: Operator(
        "RESIZE_NEAREST_NEIGHBOR",
        4,
        "ResizeNearestNeighborOptions",
        spatial.resize(ops.ResizeNearest),
    ),
    98: Operator("LEAKY_RELU", 2, "LeakyReluOptions", elementwise.leaky_relu),
    100: Operator("MIRROR_PAD", 3, "MirrorPadOptions", spatial.mirror_pad),
    102: Operator("SPLIT_V", 2, "SplitVOptions", layout.split_by_sizes),
    114: Operator("QUANTIZE", 4, "QuantizeOptions", elementwise.quantize),
    117: Operator("HARD_SWISH", 1, "HardSwishOptions", elementwise.hard_swish),
    126: Operator("BATCH_MATMUL", 4, "BatchMatMulOptions", elementwise.batch_matmul),
    150: Operator("GELU", 2, "GeluOptions", elementwise.gelu),
}
