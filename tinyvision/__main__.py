"""``python -m tinyvision`` and the command ``tinyvision``: the command line."""

from __future__ import annotations

import sys


def main() -> None:
    """Runs the command line. It is loaded here, so that Ctrl-C while it loads, or a package that is
    missing, is no traceback.
    """
    try:
        from tinyvision import cli

        cli.main()
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        sys.exit(130)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in ("", "tinyvision"):
            raise
        sys.stderr.write(
            f"error: the Python package {package} is missing. Install tinyvision anew with pip, or "
            f"the package alone.\n"
        )
        sys.exit(1)


if __name__ == "__main__":
    main()
