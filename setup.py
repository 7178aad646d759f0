"""Ships the data folders that stand beside the package in a checkout inside it in a wheel."""

from pathlib import Path

from setuptools import find_packages, setup

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

setup(
    packages=packages,
    package_dir=package_dir,
    package_data={name: ["*", ".*"] for name in packages if "._data." in name}
    | {
        "tinyvision": ["py.typed"],
        "tinyvision.demo": ["*.tflite", "*.npz"],
        "tinyvision.report": ["templates/*"],
    },
)
