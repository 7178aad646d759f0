"""Makes PlatformIO's private package ``tool-scons`` from the SCons of PyPI.

``pio run`` starts ``<python> <packages>/tool-scons/scons.py`` and accepts any folder there whose
``.piopm`` names owner "platformio" and a version inside the range that ``platformio.dependencies``
states. So a build needs no PlatformIO registry where SCons is installed. The copy is
self-contained: it keeps working when the virtual environment it came from is gone.
"""

import importlib.util
import json
import re
import shutil
import tempfile
from pathlib import Path

SCONS_PY = """\
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "scons-local"))
from SCons.Script.Main import main

sys.exit(main())
"""


def ensure_core_packages(packages_dir):
    """Puts ``tool-scons`` into ``packages_dir`` unless PlatformIO has one there that it accepts.

    Safe to call at any time and from several processes. Where no SCons can be imported, PlatformIO
    is left to fetch its own.
    """
    from platformio.dependencies import get_core_dependencies
    from platformio.package.manager.tool import ToolPackageManager
    from platformio.package.meta import PackageSpec

    requirements = get_core_dependencies()["tool-scons"]  # "~4.41101.0", say
    wanted = PackageSpec(owner="platformio", name="tool-scons", requirements=requirements)
    packages = Path(packages_dir)
    packages.mkdir(parents=True, exist_ok=True)
    found = importlib.util.find_spec("SCons")
    if ToolPackageManager(packages_dir).get_package(wanted) or found is None:
        return
    version = re.search(r"\d+\.\d+\.\d+", requirements).group()
    # PlatformIO takes no notice of folders with this prefix.
    temporary = Path(tempfile.mkdtemp(prefix="_tmp_installing-scons-", dir=packages))
    try:
        _write_package(temporary, Path(next(iter(found.submodule_search_locations))), version)
        # PlatformIO's own names for a first and for a second version of a package.
        for name in ("tool-scons", f"tool-scons@{version}"):
            try:
                temporary.rename(packages / name)
                return
            except OSError:
                if ToolPackageManager(packages_dir).get_package(wanted):
                    return  # another process was faster
        raise RuntimeError(f"cannot place tool-scons in {packages}; remove tool-scons* there")
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _write_package(folder, scons, version):
    shutil.copytree(
        scons,
        folder / "scons-local" / "SCons",
        ignore=shutil.ignore_patterns("__pycache__", "docbook", "*Tests.py"),
    )
    spec = {
        "owner": "platformio",
        "id": None,
        "name": "tool-scons",
        "requirements": None,
        "uri": None,
    }
    manifest = {
        "name": "tool-scons",
        "version": version,
        "system": "*",
        "description": "SCons from PyPI, packaged locally",
    }
    origin = {"type": "tool", "name": "tool-scons", "version": version, "spec": spec}
    (folder / "scons.py").write_text(SCONS_PY, encoding="utf-8")
    (folder / "package.json").write_text(json.dumps(manifest), encoding="utf-8")
    (folder / ".piopm").write_text(json.dumps(origin), encoding="utf-8")
    folder.chmod(0o755)
