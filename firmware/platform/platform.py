"""PlatformIO's entry to this development platform: which packages a build of it needs."""

import importlib.util
import os
import shutil
from pathlib import Path

import click
from platformio.platform.base import PlatformBase

TOOLCHAIN = "toolchain-gccarmnoneeabi"


def _sibling(name):
    """A module beside this file; PlatformIO does not put the folder on the import path."""
    spec = importlib.util.spec_from_file_location(
        f"tinyvision_platform_{name}", Path(__file__).with_name(f"{name}.py")
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class TinyvisionPlatform(PlatformBase):
    def is_embedded(self):
        return True  # the base class would ask for a package of type "uploader"

    def configure_default_packages(self, options, targets):
        # Called before PlatformIO looks for tool-scons, so that a plain `pio run` works offline.
        _sibling("core_packages").ensure_core_packages(
            self.config.get("platformio", "packages_dir")
        )
        # custom_toolchain = auto | system | registry; an entry in platform_packages always wins.
        choice = options.get("custom_toolchain", "auto")
        pinned = any(TOOLCHAIN in str(p) for p in options.get("platform_packages") or [])
        if pinned or choice == "registry":
            self.packages[TOOLCHAIN]["optional"] = False
        elif _sibling("toolchain").system_toolchain():
            # Dropped: an optional toolchain that is installed would still come first on PATH.
            self.packages.pop(TOOLCHAIN, None)
        elif choice == "system":
            raise click.UsageError(
                "custom_toolchain = system, but no arm-none-eabi-gcc with newlib is on PATH"
            )
        else:
            self.packages[TOOLCHAIN]["optional"] = False

        board = self.board_config(options["board"])
        protocol = (
            os.environ.get("TINYVISION_UPLOAD_PROTOCOL")
            or options.get("upload_protocol")
            or board.get("upload.protocol", "")
        )
        if "upload" not in targets or protocol != "openocd" or shutil.which("openocd"):
            self.packages.pop("tool-openocd", None)
        else:
            self.packages["tool-openocd"]["optional"] = False
        return super().configure_default_packages(options, targets)
