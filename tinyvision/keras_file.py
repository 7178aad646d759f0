"""A ``.keras`` file where a model is wanted: its int8 ``.tflite``, made in a process of its own
(TensorFlow takes seconds to load and crashes beside tflite-runtime) and kept in the user's cache.
"""

from __future__ import annotations

import hashlib
import json
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from tinyvision import __version__, project
from tinyvision.errors import ModelError, ToolError, UserError
from tinyvision.files import write_whole
from tinyvision.importer.labels import with_labels
from tinyvision.native import cache_folder


def int8_of(path: Path) -> bytes:
    """The ``.tflite`` of a Keras network that takes pixels as (p - 128) / 128, calibrated with the
    pictures that it was trained with, or those of the project. UserError where TensorFlow is
    missing, the network has no int8 form, or nothing says which pictures.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError("the model file cannot be read", str(path), error.strerror or "") from None
    training = _training_of(path)
    source = training["data"]["source"] if training else _project_source()
    if source is None:
        raise UserError(
            "it is not known which pictures a Keras network is to be quantized with",
            str(path),
            hint=f"tinyvision quantize {path.name} --data PICTURES makes a .tflite of it.",
        )
    key = hashlib.sha256(content + json.dumps([source, training, __version__]).encode())
    kept = cache_folder() / "keras" / f"{key.hexdigest()[:32]}.tflite"
    if not kept.exists():
        data = _convert_apart(path, source)
        if training:
            data = with_labels(data, training["classes"], training["settings"]["data"]["fit"])
        write_whole(kept, data)
    return kept.read_bytes()


def _training_of(path: Path) -> dict[str, Any] | None:
    """What ``train`` wrote beside the file."""
    try:
        training: dict[str, Any] = json.loads((path.parent / "training.json").read_text("utf-8"))
        return {name: training[name] for name in ("data", "classes", "settings")}
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _project_source() -> str | None:
    found = project.find()
    return found.settings.data.source if found else None


def _convert_apart(path: Path, source: str) -> bytes:
    if find_spec("tensorflow") is None:
        raise UserError(
            "a Keras network becomes int8 by TensorFlow, which is not installed",
            str(path),
            hint="pip install 'tinyvision[train]', or name a .tflite.",
        )
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        try:
            result = pool.submit(_convert, path, source).result()
        except BrokenProcessPool:
            raise ToolError("the conversion ended without a result", str(path)) from None
    if isinstance(result, str):
        raise UserError(result)
    return result


def _convert(path: Path, source: str) -> bytes | str:
    """The file, or what a UserError says: it cannot be sent between processes."""
    from tinyvision.train.needs import require_tensorflow

    try:
        require_tensorflow()
        from tinyvision.train.quantization.file import quantize_file

        return quantize_file(path, source).data
    except UserError as error:
        return str(error)
