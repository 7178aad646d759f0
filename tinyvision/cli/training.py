"""From pictures to a network: `train`, `evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tinyvision import project as projects
from tinyvision.cli.common import (
    BoardOpt,
    JsonOpt,
    ModelArg,
    OutOpt,
    PortOpt,
    VirtualOpt,
    app,
    choose_one,
    console,
    emit_json,
    errors,
    resolve_board,
    resolve_model,
    resolve_out,
)
from tinyvision.settings import Settings

TrainOut = Annotated[
    Path | None, typer.Option("--out", "-o", help="Where results go; default build/train.")
]


class Bar:
    """What a training reports to: a bar on stderr with time left."""

    def __init__(self, bar: Progress) -> None:
        self._bar = bar
        self._task = bar.add_task("starting", total=None)

    def say(self, text: str) -> None:
        self._bar.update(self._task, description=escape(text), total=None, completed=0)

    def warn(self, text: str) -> None:
        errors.print(f"[yellow]note:[/] {escape(text)}", soft_wrap=True, highlight=False)

    def reading(self, done: int, total: int) -> None:
        self._bar.update(self._task, description="reading pictures", completed=done, total=total)

    def step(self, done: int, total: int, text: str) -> None:
        title = f"training: {text}" if text else "training"
        self._bar.update(self._task, description=escape(title), completed=done, total=total)


def bar() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    return Progress(*columns, TimeRemainingColumn(), console=errors, transient=True)


def project_settings() -> Settings:
    """The project's, with a folder or file of data relative to it; or the defaults."""
    found = projects.find()
    return found.settings if found is not None else Settings()


@app.command(epilog="Example: tinyvision train --data pictures --board stm32h7 --sram 64K")
def train(
    data: Annotated[
        str | None,
        typer.Option(
            "--data",
            "-d",
            help="A folder with a folder for each class, a .csv (path,label), digits, shapes, "
            "mnist, fashion_mnist, cifar10, cifar100 or tfds:NAME.",
        ),
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="A network of `tinyvision zoo`.")
    ] = None,
    width: Annotated[
        float | None, typer.Option("--width", help="Times the network's channels.")
    ] = None,
    resolution: Annotated[
        int | None, typer.Option("--resolution", help="Of the input, in pixels a side.")
    ] = None,
    channels: Annotated[
        int | None, typer.Option("--channels", help="1 for grey pictures, 3 for colour.")
    ] = None,
    fit: Annotated[
        str | None, typer.Option("--fit", help="Pictures of other shapes: stretch or crop.")
    ] = None,
    epochs: Annotated[int | None, typer.Option("--epochs")] = None,
    batch: Annotated[int | None, typer.Option("--batch")] = None,
    learning_rate: Annotated[float | None, typer.Option("--learning-rate")] = None,
    augment: Annotated[
        str | None, typer.Option("--augment", help="none, light, medium or strong.")
    ] = None,
    mixup: Annotated[
        float | None, typer.Option("--mixup", help="Parameter of its beta distribution.")
    ] = None,
    patience: Annotated[
        int | None, typer.Option("--patience", help="Stop after so many epochs without gain.")
    ] = None,
    teacher: Annotated[
        str | None,
        typer.Option("--teacher", help="Distill from a .keras file, or `self`: its own average."),
    ] = None,
    distill: Annotated[
        str | None, typer.Option("--distill", help="response, feature or relation.")
    ] = None,
    netaug: Annotated[
        float | None,
        typer.Option("--netaug", help="Train inside a network so many times as wide."),
    ] = None,
    qat: Annotated[bool | None, typer.Option("--qat", help="Train on with simulated int8.")] = None,
    board: BoardOpt = None,
    sram: Annotated[str | None, typer.Option("--sram", help="Budget, such as 64K.")] = None,
    flash: Annotated[str | None, typer.Option("--flash", help="Budget, such as 512K.")] = None,
    latency: Annotated[
        str | None,
        typer.Option("--latency", help="Budget, such as 50ms, by the estimate of the plan."),
    ] = None,
    distribute: Annotated[
        str | None, typer.Option("--distribute", help="none, mirrored or multi-worker.")
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed")] = None,
    out: TrainOut = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Insist on going on with what is unfinished in --out.")
    ] = False,
    as_json: JsonOpt = False,
) -> None:
    """Train a network, and write it as .keras and int8 .tflite.

    Refuses before the first epoch what will not fit the board or the budget. The same settings,
    data and seed give the same weights, even if it was interrupted: run it again to go on.
    """
    settings = project_settings().over(
        data={"source": data, "fit": fit},
        model={"name": model, "width": width, "resolution": resolution, "channels": channels},
        training={
            "epochs": epochs, "batch": batch, "learning_rate": learning_rate, "augment": augment,
            "mixup": mixup, "patience": patience, "teacher": teacher, "distill": distill,
            "netaug": netaug, "distribute": distribute, "seed": seed,
        },
        quantization={"qat": qat},
        budget={"sram": sram, "flash": flash, "latency": latency},
    )  # fmt: skip
    from tinyvision.train.needs import require_tensorflow

    require_tensorflow()
    from tinyvision.report import print_training
    from tinyvision.train.trainer import train as run

    found = projects.find()
    folder = out or Path("build/train")
    with bar() as progress:
        record = run(
            settings,
            folder,
            board=board or (found.board if found else None),
            resume=resume,
            reporter=Bar(progress),
        )
    if found is not None and found.model is not None:
        projects.install(folder, found.model)
    if as_json:
        emit_json(record | {"out": str(folder)})
    else:
        print_training(console, record, str(folder))


@app.command(epilog="Example: tinyvision evaluate build/train/model.tflite -b stm32h7 --virtual")
def evaluate(
    model: ModelArg = None,
    board: BoardOpt = None,
    data: Annotated[
        str | None, typer.Option("--data", "-d", help="Default: what it was trained with.")
    ] = None,
    float_model: Annotated[
        Path | None, typer.Option("--float", help="The .keras file; default: beside MODEL.")
    ] = None,
    virtual: VirtualOpt = False,
    host: Annotated[bool, typer.Option("--host", help="The generated C on this computer.")] = False,
    port: PortOpt = None,
    samples: Annotated[
        int | None, typer.Option("--samples", min=1, help="Only the first so many pictures.")
    ] = None,
    out: OutOpt = None,
    as_json: JsonOpt = False,
) -> None:
    """Accuracy in float, in int8 and on the device, on the same unseen pictures."""
    from tinyvision.api import Where
    from tinyvision.evaluate import evaluate as run
    from tinyvision.report import print_evaluation

    choose_one(virtual=virtual, host=host, port=port)
    somewhere = virtual or host or port is not None
    name = resolve_board(board) if virtual or port or board else "host"
    source = data or project_settings().data.source
    with bar() as progress:
        reporter = Bar(progress)
        result: dict[str, Any] = run(
            resolve_model(model),
            name,
            source=source,
            float_model=float_model,
            where=Where(virtual, host, port) if somewhere else None,
            samples=samples,
            out=resolve_out(out, name),
            progress=reporter.say,
            done=lambda count, total: reporter.step(count, total, "evaluating"),
        )
    if as_json:
        emit_json(result)
    else:
        print_evaluation(console, result)
    if result["mismatches"]:
        raise typer.Exit(1)
