"""Says what is missing before anything imports it."""

from __future__ import annotations

import importlib.util
import os
from importlib import import_module
from pathlib import Path

from tinyvision.errors import UserError


def require_tensorflow() -> None:
    """Imports TensorFlow without what it prints; UserError with the way to install it where it is
    missing.
    """
    if importlib.util.find_spec("tensorflow") is None:
        raise UserError(
            "training needs TensorFlow, which is not installed",
            hint="pip install 'tinyvision[train]'",
        )
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    saved = os.dup(2)  # its C++ writes there before it knows of any level
    with Path(os.devnull).open("w") as sink:
        os.dup2(sink.fileno(), 2)
        try:
            import_module("tensorflow")
        finally:
            os.dup2(saved, 2)
            os.close(saved)
