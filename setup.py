"""Ships the data folders that stand beside the package in a checkout inside it in a wheel, and
builds the native library of the virtual boards where there is a compiler (docs/decisions/0011).
"""

import hashlib
from pathlib import Path

from setuptools import Extension, find_packages, setup

DATA_FOLDERS = ("boards", "codegen_templates", "firmware")
ROOT = Path(__file__).parent

packages = find_packages(include=["tinyvision", "tinyvision.*"])
package_dir = {"tinyvision": "tinyvision"}
for folder in DATA_FOLDERS:
    # A folder of data is a package to setuptools: every directory in it becomes one.
    for directory in [ROOT / folder, *(p for p in (ROOT / folder).rglob("*") if p.is_dir())]:
        relative = directory.relative_to(ROOT)
        if "__pycache__" in relative.parts or not any(p.is_file() for p in directory.iterdir()):
            continue
        name = "tinyvision._data." + ".".join(relative.parts)
        packages.append(name)
        package_dir[name] = relative.as_posix()

# Loaded with ctypes, no Python module. The hash is tinyvision.native.source_hash().
NATIVE = ROOT / "tinyvision" / "native"
digest = hashlib.sha256()
for path in sorted([*NATIVE.glob("*.c"), *NATIVE.glob("*.h")]):
    digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
native = Extension(
    "tinyvision.native._installed",
    sources=[str(path.relative_to(ROOT)) for path in sorted(NATIVE.glob("*.c"))],
    define_macros=[("TV_NATIVE_SOURCES", f'"{digest.hexdigest()[:16]}"')],
    optional=True,
)

setup(
    ext_modules=[native],
    packages=packages,
    package_dir=package_dir,
    package_data={name: ["*", ".*"] for name in packages if "._data." in name}
    | {
        "tinyvision": ["py.typed"],
        "tinyvision.native": ["*.c", "*.h"],
        "tinyvision.demo": ["*.tflite", "*.npz"],
        "tinyvision.report": ["templates/*"],
        "tinyvision.schedule": ["costs.json"],
    },
)
