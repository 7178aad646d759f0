"""The PlatformIO project around a compiled network: written, built, measured."""

from tinyvision.firmware.build import BuildResult, build
from tinyvision.firmware.pio import require_tools
from tinyvision.firmware.project import Project, open_project, write_project

__all__ = ["BuildResult", "Project", "build", "open_project", "require_tools", "write_project"]
