"""What the importer knows of TFLite's schema: numbers, names and the options of each operator.

Source: tensorflow/lite/schema/schema.fbs (version 3a). A test compares these tables with the
builder functions that flatc generated from it.
"""

from __future__ import annotations

from dataclasses import dataclass

from tinyvision.ir.types import DType

IDENTIFIER = b"TFL3"
VERSION = 3

TENSOR_TYPES = (
    "FLOAT32", "FLOAT16", "INT32", "UINT8", "INT64", "STRING", "BOOL", "INT16", "COMPLEX64",
    "INT8", "FLOAT64", "COMPLEX128", "UINT64", "RESOURCE", "VARIANT", "UINT32", "UINT16", "INT4",
    "BFLOAT16",
)  # fmt: skip

DTYPES = {
    "FLOAT32": DType.FLOAT32,
    "INT32": DType.INT32,
    "UINT8": DType.UINT8,
    "INT64": DType.INT64,
    "BOOL": DType.BOOL,
    "INT16": DType.INT16,
    "INT8": DType.INT8,
}

ACTIVATIONS = ("NONE", "RELU", "RELU_N1_TO_1", "RELU6", "TANH", "SIGN_BIT")
PADDINGS = ("SAME", "VALID")
MIRROR_PAD_MODES = ("REFLECT", "SYMMETRIC")
WEIGHTS_FORMATS = ("DEFAULT", "SHUFFLED4x16INT8")


@dataclass(frozen=True)
class OptionField:
    """One field of an options table: ``kind`` is a scalar type, or ``int32s`` for a vector."""

    name: str
    kind: str
    default: float = 0


@dataclass(frozen=True)
class OptionTable:
    """The options of some operators: ``number`` is their tag in the BuiltinOptions union, and a
    field's number is its place in ``fields``.
    """

    number: int
    fields: tuple[OptionField, ...] = ()


_PADDING = OptionField("padding", "int8")
_STRIDES = (OptionField("stride_w", "int32"), OptionField("stride_h", "int32"))
_DILATIONS = (
    OptionField("dilation_w_factor", "int32", 1),
    OptionField("dilation_h_factor", "int32", 1),
)
_ACTIVATION = OptionField("fused_activation_function", "int8")
_BIAS_TYPE = OptionField("quantized_bias_type", "int8")
_POT_SCALE = OptionField("pot_scale_int16", "bool", True)
_ALIGN_CORNERS = OptionField("align_corners", "bool")
_HALF_PIXEL = OptionField("half_pixel_centers", "bool")

OPTIONS: dict[str, OptionTable] = {
    "Conv2DOptions": OptionTable(1, (_PADDING, *_STRIDES, _ACTIVATION, *_DILATIONS, _BIAS_TYPE)),
    "DepthwiseConv2DOptions": OptionTable(
        2,
        (_PADDING, *_STRIDES, OptionField("depth_multiplier", "int32"), _ACTIVATION, *_DILATIONS),
    ),
    "Pool2DOptions": OptionTable(
        5,
        (
            _PADDING,
            *_STRIDES,
            OptionField("filter_width", "int32"),
            OptionField("filter_height", "int32"),
            _ACTIVATION,
        ),
    ),
    "FullyConnectedOptions": OptionTable(
        8,
        (
            _ACTIVATION,
            OptionField("weights_format", "int8"),
            OptionField("keep_num_dims", "bool"),
            OptionField("asymmetric_quantize_inputs", "bool"),
            _BIAS_TYPE,
        ),
    ),
    "SoftmaxOptions": OptionTable(9, (OptionField("beta", "float32"),)),
    "ConcatenationOptions": OptionTable(10, (OptionField("axis", "int32"), _ACTIVATION)),
    "AddOptions": OptionTable(11, (_ACTIVATION, _POT_SCALE)),
    "ResizeBilinearOptions": OptionTable(
        15,
        (
            OptionField("new_height", "int32"),
            OptionField("new_width", "int32"),
            _ALIGN_CORNERS,
            _HALF_PIXEL,
        ),
    ),
    "ReshapeOptions": OptionTable(17, (OptionField("new_shape", "int32s"),)),
    "MulOptions": OptionTable(21, (_ACTIVATION,)),
    "PadOptions": OptionTable(22),
    "GatherOptions": OptionTable(
        23, (OptionField("axis", "int32"), OptionField("batch_dims", "int32"))
    ),
    "SpaceToDepthOptions": OptionTable(19, (OptionField("block_size", "int32"),)),
    "BatchToSpaceNDOptions": OptionTable(24),
    "SpaceToBatchNDOptions": OptionTable(25),
    "TransposeOptions": OptionTable(26),
    "ReducerOptions": OptionTable(27, (OptionField("keep_dims", "bool"),)),
    "SubOptions": OptionTable(28, (_ACTIVATION, _POT_SCALE)),
    "SqueezeOptions": OptionTable(30, (OptionField("squeeze_dims", "int32s"),)),
    "StridedSliceOptions": OptionTable(
        32,
        (
            OptionField("begin_mask", "int32"),
            OptionField("end_mask", "int32"),
            OptionField("ellipsis_mask", "int32"),
            OptionField("new_axis_mask", "int32"),
            OptionField("shrink_axis_mask", "int32"),
            OptionField("offset", "bool"),
        ),
    ),
    "SplitOptions": OptionTable(35, (OptionField("num_splits", "int32"),)),
    "CastOptions": OptionTable(
        37, (OptionField("in_data_type", "int8"), OptionField("out_data_type", "int8"))
    ),
    "DequantizeOptions": OptionTable(38),
    "MaximumMinimumOptions": OptionTable(39),
    "PadV2Options": OptionTable(43),
    "SliceOptions": OptionTable(48),
    "TransposeConvOptions": OptionTable(49, (_PADDING, *_STRIDES, _ACTIVATION, _BIAS_TYPE)),
    "TileOptions": OptionTable(51),
    "ExpandDimsOptions": OptionTable(52),
    "ShapeOptions": OptionTable(55, (OptionField("out_type", "int8"),)),
    "PackOptions": OptionTable(
        59, (OptionField("values_count", "int32"), OptionField("axis", "int32"))
    ),
    "UnpackOptions": OptionTable(64, (OptionField("num", "int32"), OptionField("axis", "int32"))),
    "ResizeNearestNeighborOptions": OptionTable(74, (_ALIGN_CORNERS, _HALF_PIXEL)),
    "LeakyReluOptions": OptionTable(75, (OptionField("alpha", "float32"),)),
    "MirrorPadOptions": OptionTable(77, (OptionField("mode", "int8"),)),
    "SplitVOptions": OptionTable(79, (OptionField("num_splits", "int32"),)),
    "QuantizeOptions": OptionTable(89),
    "HardSwishOptions": OptionTable(91),
    "BatchMatMulOptions": OptionTable(
        101,
        (
            OptionField("adj_x", "bool"),
            OptionField("adj_y", "bool"),
            OptionField("asymmetric_quantize_inputs", "bool"),
        ),
    ),
    "GeluOptions": OptionTable(116, (OptionField("approximate", "bool"),)),
    "DepthToSpaceOptions": OptionTable(94, (OptionField("block_size", "int32"),)),
}


def tensor_type_name(number: int) -> str:
    return TENSOR_TYPES[number] if 0 <= number < len(TENSOR_TYPES) else f"type {number}"


def operator_name(code: int) -> str:
    """The schema's name of a builtin operator, for operators that are not supported."""
    from tflite import (
        BuiltinOperator,
    )  # here, because loading that package takes a fifth of a second

    names = {value: name for name, value in vars(BuiltinOperator).items() if name.isupper()}
    return str(names.get(code, f"operator code {code}"))
