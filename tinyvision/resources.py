"""Where the data that belongs to the package lies, in a checkout and in an installed wheel."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def data_folder(name: str) -> Path:
    """The folder ``boards``, ``codegen_templates`` or ``firmware``.

    In a checkout it stands beside the package, in a wheel inside it (``_data``, see setup.py).
    Raises FileNotFoundError where the installation is broken.
    """
    for candidate in (_PACKAGE / "_data" / name, _PACKAGE.parent / name):
        if candidate.is_dir():
            return candidate
    raise FileNotFoundError(f"tinyvision's data folder {name!r} is missing beside {_PACKAGE}")
