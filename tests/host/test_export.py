"""Exported libraries, built as somebody else's build system would, and run."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tinyvision import importer
from tinyvision.build import plan
from tinyvision.errors import UserError
from tinyvision.export import KINDS, export
from tinyvision.ir import reference

DIGITS = Path(importer.__file__).parents[1] / "demo" / "digits.tflite"
STRICT = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic")
MAIN = """
#include <stdio.h>
int main(void)
{
    classify();
    for (int i = 0; i < TV_DIGITS_OUTPUT0_ELEMENTS; i++) {
        printf("%d ", tv_digits_output0(bank)[i]);
    }
    return 0;
}
"""


@pytest.fixture(scope="module")
def compiled():
    return {board: plan(DIGITS, board) for board in ("host", "stm32h7")}


def run(*command, cwd=None) -> str:
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, cwd=cwd)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def example(folder: Path, main: Path) -> Path:
    """A program of the README's example, whose input is zeros, that prints the outputs."""
    (code,) = re.findall(r"```c\n(.*?)```", (folder / "README.md").read_text(), re.DOTALL)
    main.write_text(code + MAIN)
    return main


def zeros_give(compiled) -> list[int]:
    graph = compiled.model.graph
    zeros = np.zeros(graph.tensor(graph.inputs[0]).shape, np.int8)
    return reference.run(graph, [zeros])[0].ravel().tolist()


def answers(program: Path) -> list[int]:
    return [int(text) for text in run(program).split()]


@pytest.mark.parametrize("board", ["host", "stm32h7"])
def test_c(compiled, board, tmp_path):
    folder = export(compiled[board], "c", tmp_path / "out")
    assert not (folder / "library.json").exists()
    main = example(folder, tmp_path / "main.c")
    sources = sorted((folder / "src").glob("*.c"))
    run("cc", *STRICT, f"-I{folder / 'include'}", *sources, main, "-o", tmp_path / "main")
    assert answers(tmp_path / "main") == zeros_give(compiled[board])


@pytest.mark.skipif(not shutil.which("cmake"), reason="needs CMake")
def test_cmake(compiled, tmp_path):
    export(compiled["host"], "cmake", tmp_path / "model")
    example(tmp_path / "model", tmp_path / "main.c")
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.13)\nproject(user C)\n"
        "add_subdirectory(model tv_digits)\nadd_executable(user main.c)\n"
        "target_link_libraries(user PRIVATE tv_digits)\n"
    )
    run("cmake", "-S", tmp_path, "-B", tmp_path / "build")
    run("cmake", "--build", tmp_path / "build")
    assert answers(tmp_path / "build" / "user") == zeros_give(compiled["host"])


ZEPHYR = """
cmake_minimum_required(VERSION 3.13)
project(user C)
macro(zephyr_library_named name)
  set(ZEPHYR_CURRENT_LIBRARY ${name})
  add_library(${name} STATIC)
endmacro()
macro(zephyr_library_sources)
  target_sources(${ZEPHYR_CURRENT_LIBRARY} PRIVATE ${ARGN})
endmacro()
macro(zephyr_library_include_directories)
  target_include_directories(${ZEPHYR_CURRENT_LIBRARY} PRIVATE ${ARGN})
endmacro()
macro(zephyr_library_compile_options)
  target_compile_options(${ZEPHYR_CURRENT_LIBRARY} PRIVATE ${ARGN})
endmacro()
macro(zephyr_include_directories)
  include_directories(${ARGN})
endmacro()
add_subdirectory(model/zephyr tv)
if(CONFIG_TV_DIGITS)
  add_executable(user main.c)
  target_include_directories(user PRIVATE model/include)
  target_link_libraries(user PRIVATE tv_digits)
endif()
"""
"""Zephyr's own functions, as its documentation describes them, on plain CMake."""


@pytest.mark.skipif(not shutil.which("cmake"), reason="needs CMake")
def test_zephyr(compiled, tmp_path):
    folder = export(compiled["host"], "zephyr", tmp_path / "model")
    module = (folder / "zephyr" / "module.yml").read_text()
    assert "cmake: zephyr\n" in module and "kconfig: zephyr/Kconfig\n" in module
    assert (folder / "zephyr" / "Kconfig").read_text().startswith("config TV_DIGITS\n\tbool ")
    example(folder, tmp_path / "main.c")
    (tmp_path / "CMakeLists.txt").write_text(ZEPHYR)
    run("cmake", "-S", tmp_path, "-B", tmp_path / "off")
    run("cmake", "--build", tmp_path / "off")
    assert not (tmp_path / "off" / "user").exists()
    run("cmake", "-S", tmp_path, "-B", tmp_path / "on", "-DCONFIG_TV_DIGITS=y")
    run("cmake", "--build", tmp_path / "on")
    assert answers(tmp_path / "on" / "user") == zeros_give(compiled["host"])


ARDUINO = """
#include <cstdio>
static struct {
    void begin(long) {}
    void println(int value) { std::printf("%d ", value); }
} Serial;
static void delay(int) {}
"""


@pytest.mark.skipif(not shutil.which("g++"), reason="needs a C++ compiler")
def test_arduino(compiled, tmp_path):
    """Every source in ``src`` is compiled with ``src`` as the only folder of headers."""
    folder = export(compiled["host"], "arduino", tmp_path / "out")
    properties = dict(
        line.split("=", 1) for line in (folder / "library.properties").read_text().splitlines()
    )
    needed = {"name", "version", "author", "maintainer", "sentence", "architectures", "includes"}
    assert needed <= set(properties)
    assert (folder / "src" / properties["includes"]).is_file()
    include = f"-I{folder / 'src'}"
    sources = sorted((folder / "src").glob("*.c"))
    run("cc", "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-c", include, *sources, cwd=tmp_path)
    (sketch,) = (folder / "examples").rglob("*.ino")
    assert sketch.parent.name == sketch.stem
    program = tmp_path / "main.cpp"
    program.write_text(f'{ARDUINO}\n#include "{sketch}"\nint main() {{ setup(); loop(); }}\n')
    objects = sorted(tmp_path.glob("*.o"))
    run("g++", "-Wall", "-Wextra", "-Werror", include, program, *objects, "-o", tmp_path / "main")
    assert answers(tmp_path / "main") == zeros_give(compiled["host"])


def test_platformio_is_the_project_of_build(compiled, tmp_path):
    folder = export(compiled["stm32h7"], "platformio", tmp_path / "out")
    assert (folder / "platformio.ini").is_file() and (folder / "lib/digits/library.json").is_file()
    with pytest.raises(UserError, match="no firmware"):
        export(compiled["host"], "platformio", tmp_path / "host")


@pytest.mark.parametrize("kind", KINDS)
def test_a_folder_in_use_is_left_alone(compiled, kind, tmp_path):
    (tmp_path / "mine.txt").write_text("years of work")
    with pytest.raises(UserError):
        export(compiled["stm32h7"], kind, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
