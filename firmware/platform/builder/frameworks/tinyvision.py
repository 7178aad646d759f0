"""SCons script: compiler flags, linker script and board support of the project's board."""

import os
from pathlib import Path

from SCons.Script import DefaultEnvironment

env = DefaultEnvironment()
board = env.BoardConfig()
build = board.get("build")

project = env.subst("$PROJECT_DIR")


def relative(path):
    """Relative to the project, SCons' working folder: it splits flags at spaces."""
    return Path(os.path.relpath(env.subst(str(path)), project))


platform = Path(env.PioPlatform().get_dir())
bsp = platform / "bsp"
board_folder = platform / "boards" / board.id
linker_script = board_folder / "link.ld"
map_file = relative("$BUILD_DIR") / "firmware.map"

core = ["-mthumb", f"-mcpu={build['cpu']}"]
core += [f"-mfpu={build['fpu']}", "-mfloat-abi=hard"] if build["fpu"] else ["-mfloat-abi=soft"]

env.Append(
    ASFLAGS=core,
    ASPPFLAGS=["-x", "assembler-with-cpp", *core],
    CCFLAGS=[
        *core,
        "-O2",
        "-g",
        "-fno-common",
        "-ffunction-sections",
        "-fdata-sections",
        "-Wall",
        "-Wextra",
        "-Wvla",
    ],
    CFLAGS=["-std=c99"],
    CXXFLAGS=["-fno-rtti", "-fno-exceptions"],
    CPPPATH=[str(bsp), str(board_folder)],
    LINKFLAGS=[
        *core,
        "-nostdlib",
        "-Wl,--gc-sections",
        f"-Wl,-Map={map_file}",
    ],
    LIBS=["c", "gcc"],
)
env.Replace(LDSCRIPT_PATH=str(relative(linker_script)))
env.Depends("$BUILD_DIR/${PROGNAME}.elf", env.File(str(linker_script)))
sources = ["startup.c", "fault.c", *build["drivers"]]
env.BuildSources("$BUILD_DIR/bsp", str(bsp), " ".join(f"+<{name}>" for name in sources))
