"""SCons script: tools, firmware.elf, .bin and .hex, upload. Run by PlatformIO."""

import os
import sys
from pathlib import Path

from SCons.Script import COMMAND_LINE_TARGETS, AlwaysBuild, Default, DefaultEnvironment

env = DefaultEnvironment()
platform = env.PioPlatform()
board = env.BoardConfig()
PREFIX = "arm-none-eabi-"

env.Replace(
    AR=PREFIX + "gcc-ar",
    AS=PREFIX + "as",
    CC=PREFIX + "gcc",
    CXX=PREFIX + "g++",
    GDB=PREFIX + "gdb",
    OBJCOPY=PREFIX + "objcopy",
    RANLIB=PREFIX + "gcc-ranlib",
    SIZETOOL=PREFIX + "size",
    ARFLAGS=["rc"],
    PROGSUFFIX=".elf",
    SIZECHECKCMD="$SIZETOOL -A -d $SOURCES",
    SIZEPROGREGEXP=r"^(?:\.vectors|\.boot|\.text|\.rodata|\.ARM\.exidx|\.data)\s+(\d+).*",
    SIZEDATAREGEXP=r"^(?:\.stack|\.data|\.bss|\.bank\.\S+)\s+(\d+).*",
    SIZEPRINTCMD="$SIZETOOL -A -d $SOURCES",
    PROGNAME=env.GetProjectOption("custom_progname", "firmware"),
)
if not env.get("PIOFRAMEWORK"):
    env.Replace(PIOFRAMEWORK=["tinyvision"])


def convert(elf, form, suffix):
    """The ELF in another format beside it."""
    return env.Command(
        "$BUILD_DIR/${PROGNAME}" + suffix,
        elf,
        env.VerboseAction(f"$OBJCOPY -O {form} $SOURCE $TARGET", "Building $TARGET"),
    )


if "nobuild" in COMMAND_LINE_TARGETS:  # upload what an earlier run has built
    elf = env.File("$BUILD_DIR/${PROGNAME}.elf")
    products = [elf, env.File("$BUILD_DIR/${PROGNAME}.bin"), env.File("$BUILD_DIR/${PROGNAME}.hex")]
else:
    elf = env.BuildProgram()
    products = convert(elf, "binary", ".bin") + convert(elf, "ihex", ".hex")
    env.Depends(products, "checkprogsize")

AlwaysBuild(env.Alias("nobuild", products))
size_action = env.VerboseAction("$SIZEPRINTCMD", "Calculating size $SOURCE")
AlwaysBuild(env.Alias("size", elf, size_action))

# ---- upload: what each protocol calls the target stands in the board's manifest ----
protocol = (
    os.environ.get("TINYVISION_UPLOAD_PROTOCOL")  # `tinyvision flash` has looked what is installed
    or env.subst("$UPLOAD_PROTOCOL")
    or board.get("upload.protocol", "")
)
targets = board.get("upload.targets", {})
target = targets.get(protocol, "")
folder = platform.get_package_dir("tool-openocd") if "tool-openocd" in platform.packages else None
scripts = f'-s "{folder}/openocd/scripts"' if folder else ""
ELF = '"$BUILD_DIR/${PROGNAME}.elf"'
HEX = '"$BUILD_DIR/${PROGNAME}.hex"'
commands = {
    "pyocd": f'"$PYTHONEXE" -m pyocd load --no-wait --target {target} --format hex '
    f"$UPLOADERFLAGS {HEX}",
    "openocd": f"openocd {scripts} -f {target} $UPLOADERFLAGS "
    '-c "program {$BUILD_DIR/${PROGNAME}.elf} verify reset exit"',
    "st-flash": f"st-flash --reset --format ihex $UPLOADERFLAGS write {HEX}",
    "picotool": f"picotool load --verify --execute $UPLOADERFLAGS {ELF}",
    "jlink": f"JLinkExe -device {target} -if SWD -speed 4000 -autoconnect 1 -NoGui 1 "
    '-ExitOnError 1 -CommandFile "$BUILD_DIR/upload.jlink" $UPLOADERFLAGS',
}


def write_jlink_script(target, source, env):
    """J-Link takes its commands from a file only."""
    script = Path(env.subst("$BUILD_DIR/upload.jlink"))
    script.write_text(f"h\nloadfile {env.subst(HEX)}\nr\ng\nq\n", encoding="utf-8")


def refuse(target, source, env):
    """For a protocol that the board's manifest does not list."""
    known = ", ".join(sorted(targets)) or "none"
    sys.stderr.write(f"Error: this board has no upload protocol '{protocol}'; it has: {known}\n")
    return 1


actions = [refuse]
if protocol == "custom":
    actions = [env.VerboseAction("$UPLOADCMD", "Uploading $SOURCE")]
elif protocol in targets:
    env.Replace(UPLOADCMD=commands[protocol])
    actions = [env.VerboseAction("$UPLOADCMD", f"Uploading to {board.id} through {protocol}")]
    if protocol == "jlink":
        actions.insert(0, write_jlink_script)
AlwaysBuild(env.Alias("upload", products, actions))

Default(env.Alias("buildprog", products))
