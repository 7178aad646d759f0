"""`quantize`."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from tinyvision.cli.common import JsonOpt, app, console, emit_json, working
from tinyvision.files import write_whole


class Calibration(str, Enum):
    minmax = "minmax"
    percentile = "percentile"
    mse = "mse"


@app.command(epilog="Example: tinyvision quantize cats.keras --data pictures/ --report")
def quantize(
    file: Annotated[Path, typer.Argument(metavar="FILE.keras", help="A trained Keras network.")],
    data: Annotated[
        str,
        typer.Option(
            "--data", help="Pictures to calibrate with: a folder, a .csv, a .npz, digits, shapes..."
        ),
    ],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The file to write; default: FILE.tflite.")
    ] = None,
    calibration: Annotated[
        Calibration, typer.Option("--calibration", help="How ranges are chosen.")
    ] = Calibration.minmax,
    samples: Annotated[
        int, typer.Option("--samples", min=1, help="How many pictures to calibrate with.")
    ] = 256,
    equalize: Annotated[
        bool, typer.Option("--equalize", help="Even out channels across layers first.")
    ] = False,
    bias_correction: Annotated[
        bool, typer.Option("--bias-correction", help="Take the mean error off the biases.")
    ] = False,
    adaround: Annotated[
        bool, typer.Option("--adaround", help="Learn whether each weight is rounded up or down.")
    ] = False,
    report: Annotated[
        bool, typer.Option("--report", help="Where int8 departs from float, and what to do.")
    ] = False,
    as_json: JsonOpt = False,
) -> None:
    """Post-training int8: a .keras network and some pictures give a .tflite."""
    from tinyvision.report.quantization_text import print_quantization
    from tinyvision.train.needs import require_tensorflow

    with working("loading TensorFlow") as progress:
        require_tensorflow()
        from tinyvision.train.quantization.file import quantize_file

        progress("quantizing")
        result = quantize_file(
            file,
            data,
            samples,
            calibration.value,
            equalize,
            bias_correction,
            adaround,
            report,
        )
    target = out or file.with_suffix(".tflite")
    write_whole(target, result.data)
    if as_json:
        emit_json(
            {
                "model": str(file),
                "out": str(target),
                "size_bytes": len(result.data),
                "calibration": calibration.value,
                "layers": result.layers,
            }
        )
        return
    if result.layers is not None:
        print_quantization(console, result.layers)
    console.print(f"wrote {escape(str(target))}: {len(result.data):,} bytes", highlight=False)
