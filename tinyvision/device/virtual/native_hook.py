"""Unicorn hooks whose callbacks are C functions: its Python binding takes Python functions only."""

from __future__ import annotations

import ctypes
from typing import Any

from unicorn import Uc
from unicorn.unicorn_py3.unicorn import uclib


def add_native_hook(machine: Uc, kind: int, function: Any, context: Any) -> None:
    """Has ``machine`` call ``function``, of a library loaded with ctypes, with the pointer
    ``context`` at every event of ``kind`` (``UC_HOOK_CODE``, ``UC_HOOK_BLOCK``) anywhere.
    """
    status = uclib.uc_hook_add(
        machine._uch,
        ctypes.byref(ctypes.c_size_t()),
        kind,
        ctypes.cast(function, ctypes.c_void_p),
        context,
        ctypes.c_uint64(1),
        ctypes.c_uint64(0),  # from 1 to 0: every address
    )
    if status:
        raise RuntimeError(f"Unicorn refused a hook of kind {kind}: error {status}")
