"""The generated model as a library for somebody else's firmware, in the layout of its build system.

Without a board the library is portable C for one bank of memory; with one it has that core's
kernels, and the banks that the board's plan uses.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tinyvision.build import Compiled, write_project
from tinyvision.codegen import model_context
from tinyvision.codegen.render import render
from tinyvision.errors import UserError
from tinyvision.files import write_folder

PORTABLE = "host"
"""The board whose code is portable C."""

Files = dict[str, str]
Context = Mapping[str, Any]


def export(compiled: Compiled, kind: str, out: str | Path) -> Path:
    """Writes ``compiled`` to the new folder ``out`` as ``kind``, one of ``KINDS``; returns it.

    ``c``: headers, sources and a README that says how to call them; ``cmake``, ``arduino`` and
    ``zephyr``: the same as a CMake library, an Arduino library and a Zephyr module; ``platformio``:
    the project that ``build`` compiles. UserError, with nothing written, where ``out`` is in use.
    """
    out = Path(out)
    if kind == "platformio":
        return write_project(compiled, out).path
    if kind not in LAYOUTS:
        raise UserError(f"there is no format '{kind}'", hint=f"Take one of {', '.join(KINDS)}.")
    library = compiled.emit()
    del library["library.json"]  # PlatformIO's
    context = model_context(compiled.graph, compiled.plan, compiled.board) | {
        "sources": sorted(path for path in library if path.endswith(".c")),
    }
    write_folder(out, LAYOUTS[kind](library, context))
    return out


def _readme(context: Context, how: str) -> str:
    return render("export/README.md.j2", {**context, "how": how})


def _plain(library: Files, context: Context) -> Files:
    how = "Compile `src/*.c` with `include` among the folders of headers; `-O3` is worth it."
    return library | {"README.md": _readme(context, how)}


def _cmake(library: Files, context: Context) -> Files:
    how = (
        "```cmake\nadd_subdirectory(path/to/this/folder tv_{0})\n"
        "target_link_libraries(firmware PRIVATE tv_{0})\n```"
    ).format(context["model"])
    return library | {
        "README.md": _readme(context, how),
        "CMakeLists.txt": render("export/cmake/CMakeLists.txt.j2", context),
    }


def _arduino(library: Files, context: Context) -> Files:
    """Arduino looks for headers in ``src`` only."""
    how = "Put this folder among the `libraries` of your sketchbook; `examples` has a sketch."
    files = {f"src/{Path(path).name}": text for path, text in library.items()}
    readme = _readme(context, how).replace("`include/", "`src/")
    return files | {
        "README.md": readme,
        "library.properties": render("export/arduino/library.properties.j2", context),
        "examples/Infer/Infer.ino": render("export/arduino/sketch.ino.j2", context),
    }


def _zephyr(library: Files, context: Context) -> Files:
    how = (
        "A Zephyr module: name this folder in `ZEPHYR_EXTRA_MODULES` (or in the west manifest) and "
        "set\n`CONFIG_TV_{}=y`."
    ).format(context["model"].upper())
    return library | {
        "README.md": _readme(context, how),
        "zephyr/module.yml": render("export/zephyr/module.yml.j2", context),
        "zephyr/Kconfig": render("export/zephyr/Kconfig.j2", context),
        "zephyr/CMakeLists.txt": render("export/zephyr/CMakeLists.txt.j2", context),
    }


LAYOUTS: dict[str, Callable[[Files, Context], Files]] = {
    "c": _plain,
    "arduino": _arduino,
    "zephyr": _zephyr,
    "cmake": _cmake,
}
KINDS = ("c", "platformio", "arduino", "zephyr", "cmake")
