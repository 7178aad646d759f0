"""tinyvision: from a vision model to verified, profiled firmware on a microcontroller.

The commands are functions here too, loaded when first used::

    import tinyvision

    model = tinyvision.load("model.tflite")
    plan = tinyvision.plan(model, "stm32h7").plan
    built = tinyvision.build(model, "stm32h7", out="firmware")
    twin = tinyvision.Where(virtual=True)
    assert tinyvision.verify(model, "stm32h7", where=twin)["mismatches"] == 0
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tinyvision.api import Where, flash, profile, run, train, verify
    from tinyvision.build import build, load, plan
    from tinyvision.errors import UserError
    from tinyvision.evaluate import evaluate
    from tinyvision.export import export
    from tinyvision.settings import Settings

__version__ = "0.1.0"
__all__ = [
    "Settings", "UserError", "Where", "build", "evaluate", "export", "flash", "load", "plan",
    "profile", "run", "train", "verify",
]  # fmt: skip


class _Lazy:
    """A name of the API, imported at first use.

    Some share it with the module that defines them (``build``). The import system stores a module
    it has loaded as an attribute of the package; a data descriptor stands before that, so that the
    name means the function whatever was imported before. ``from tinyvision.build import ...`` is
    not affected.
    """

    def __init__(self, module: str, name: str) -> None:
        self._module, self._name = module, name

    def __get__(self, package: object, owner: type | None = None) -> Any:
        return getattr(import_module(self._module), self._name)

    def __set__(self, package: object, value: object) -> None:
        """Takes the module from the import system, and leaves it in ``sys.modules``."""


_HOMES = {
    "tinyvision.api": ("Where", "flash", "profile", "run", "train", "verify"),
    "tinyvision.build": ("build", "load", "plan"),
    "tinyvision.errors": ("UserError",),
    "tinyvision.evaluate": ("evaluate",),
    "tinyvision.export": ("export",),
    "tinyvision.settings": ("Settings",),
}


class _Package(ModuleType):
    """The package with its API."""


for _module, _names in _HOMES.items():
    for _name in _names:
        setattr(_Package, _name, _Lazy(_module, _name))
sys.modules[__name__].__class__ = _Package
