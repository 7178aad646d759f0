"""Project folders: written whole or not at all, updated without touching what is the user's."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tinyvision.errors import UserError
from tinyvision.files import write_folder, write_whole
from tinyvision.firmware.render import USER_FILES, render_project
from tinyvision.schedule.plan import BankUse
from tinyvision.target.board import Board

MANIFEST = ".tinyvision.json"
"""Marks a folder as ours and remembers what was written: {path: SHA-256}."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Project:
    """A project folder on disk. ``model`` is the C identifier of the network in it, ``model_hash``
    what identifies it on a board, in hexadecimal digits (empty: unknown).
    """

    path: Path
    board: str
    model: str
    model_hash: str = ""

    @property
    def build_dir(self) -> Path:
        """Where PlatformIO leaves what it builds."""
        return self.path / ".pio" / "build" / self.board

    @property
    def elf(self) -> Path:
        return self.build_dir / "firmware.elf"

    @property
    def bin(self) -> Path:
        return self.build_dir / "firmware.bin"


def write_project(
    directory: str | Path,
    board: Board,
    model: str,
    library: Mapping[str, str],
    banks: Sequence[BankUse],
    title: str = "",
    model_hash: str = "",
    frame: BankUse | None = None,
) -> Project:
    """Writes the PlatformIO project for a compiled network, or updates the one that is there.

    ``library``: path to text, as ``codegen.emit`` gives them; ``model``: the C identifier in it;
    ``banks``: the plan's; ``model_hash`` as in Project; ``frame``: where the whole input lies if
    the network takes it in rows. A new folder appears complete or not at all. In an existing
    project only what differs is written, so that a build recompiles only that; files of the user's
    stay.
    Raises UserError, before anything is written, for a folder that isn't a project of ours and for
    generated files that were changed by hand.
    """
    path = Path(directory)
    files = render_project(board, model, title or model, library, banks, frame)
    project = Project(path, board.name, model, model_hash)
    try:
        if path.exists() and not path.is_dir():
            raise UserError(
                "the project would overwrite a file", str(path), hint="Choose another --out."
            )
        if path.is_dir() and any(path.iterdir()):
            _update(project, files)
        else:
            write_folder(path, files | {MANIFEST: _manifest(project, files)})
    except OSError as error:
        why = error.strerror or str(error)
        raise UserError("the project cannot be written", str(path), why) from error
    return project


def open_project(directory: str | Path) -> Project:
    """The project in ``directory``. Raises UserError where there is none of ours."""
    path = Path(directory)
    manifest = _read_manifest(path)
    return Project(
        path, str(manifest["board"]), str(manifest["model"]), str(manifest.get("hash", ""))
    )


def _read_manifest(path: Path) -> dict[str, object]:
    try:
        manifest = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
        if not isinstance(manifest["files"], dict) or not manifest["board"] + manifest["model"]:
            raise ValueError("not a manifest")
    except FileNotFoundError:
        hint = "Name an empty or a new folder with --out, or run tinyvision build first."
        raise UserError("this is no tinyvision project", str(path), hint=hint) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        why = f"{type(error).__name__}: {error}"
        hint = "Delete the folder to have it written anew."
        raise UserError("the project's record is broken", str(path / MANIFEST), why, hint) from None
    return dict(manifest)


def _manifest(project: Project, files: Mapping[str, str]) -> str:
    record = {
        "format": 1,
        "board": project.board,
        "model": project.model,
        "hash": project.model_hash,
        "files": {path: _hash(text.encode()) for path, text in sorted(files.items())},
    }
    return json.dumps(record, indent=1) + "\n"


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _update(project: Project, files: Mapping[str, str]) -> None:
    manifest = _read_manifest(project.path)
    recorded: dict[str, str] = dict(manifest["files"])  # type: ignore[call-overload]
    changed: list[str] = []
    to_write: dict[str, str] = {}
    for path, text in files.items():
        present = _present_hash(project.path / path)
        if present == _hash(text.encode()):
            continue
        if present is not None and path in USER_FILES:
            if present == recorded.get(path):
                to_write[path] = text
            else:
                _log.info("%s was changed by hand and stays", project.path / path)
        elif present is not None and present != recorded.get(path):
            changed.append(path)
        else:
            to_write[path] = text
    obsolete = [path for path in recorded if path not in files]
    changed += [p for p in obsolete if _present_hash(project.path / p) not in (None, recorded[p])]
    if changed:
        raise UserError(
            f"{len(changed)} generated file(s) were changed by hand",
            str(project.path),
            ", ".join(sorted(changed)[:5]),
            "Keep the changes by building into another folder (--out), or delete those files.",
        )
    for path, text in to_write.items():
        write_whole(project.path / path, text)
    for path in obsolete:
        _remove(project.path, path)
    write_whole(project.path / MANIFEST, _manifest(project, files))


def _present_hash(path: Path) -> str | None:
    try:
        return _hash(path.read_bytes())
    except FileNotFoundError:
        return None


def _remove(root: Path, relative: str) -> None:
    """Removes a file that is no longer generated, and folders that it leaves empty."""
    path = root / relative
    path.unlink(missing_ok=True)
    while path.parent != root and path.parent.is_dir() and not any(path.parent.iterdir()):
        path = path.parent
        shutil.rmtree(path)
