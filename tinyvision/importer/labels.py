"""What is appended to a ``.tflite`` file as a zip archive: class names, as metadata tools write
them, and how pictures are brought to the input's shape.
"""

from __future__ import annotations

import io
import logging
import struct
import zipfile
import zlib
from collections.abc import Callable, Sequence

from tinyvision.preprocess import FITS

MAX_ARCHIVE_BYTES = MAX_LABELS_BYTES = 1 << 20
MAX_LABELS, MAX_LABEL = 65536, 200
FIT_FILE = "tinyvision-fit.txt"

_LOG = logging.getLogger(__name__)

_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    LookupError,
    NotImplementedError,
    OSError,
    RuntimeError,
    ValueError,
)


def read_labels(data: bytes) -> tuple[str, ...]:
    """The lines of the archive's first text file with "label" in its name; empty if there is none.

    Labels are an ornament: a damaged archive is logged and otherwise as good as none. Only the
    file's last megabyte is looked at, and no more than a megabyte is unpacked.
    """
    return _read(data, lambda name: "label" in name and name.endswith(".txt"))


def read_fit(data: bytes) -> str:
    """How a picture is brought to the input's shape: what ``with_labels`` wrote, or "stretch"."""
    lines = _read(data, lambda name: name == FIT_FILE)
    return lines[0] if lines and lines[0] in FITS else "stretch"


def with_labels(data: bytes, labels: Sequence[str], fit: str) -> bytes:
    """``data``, a ``.tflite`` file, with both appended. The same arguments give the same bytes."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as stream:
        for name, lines in (("labels.txt", labels), (FIT_FILE, (fit,))):
            stream.writestr(zipfile.ZipInfo(name), "\n".join(lines))
    return data + archive.getvalue()


def _read(data: bytes, wanted: Callable[[str], bool]) -> tuple[str, ...]:
    """The lines of the archive's first file whose name in lower case is ``wanted``."""
    tail = data[-MAX_ARCHIVE_BYTES:]
    if b"PK\x05\x06" not in tail:
        return ()
    try:
        with zipfile.ZipFile(io.BytesIO(tail)) as archive:
            for entry in archive.infolist():
                if wanted(entry.filename.lower()):
                    return _lines(archive, entry)
    except _ERRORS as error:
        _LOG.warning("the labels at the end of the model file cannot be read: %s", error)
    return ()


def _lines(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> tuple[str, ...]:
    with archive.open(entry) as stream:
        text = stream.read(MAX_LABELS_BYTES + 1)
    if len(text) > MAX_LABELS_BYTES:
        raise ValueError(f"more than {MAX_LABELS_BYTES} bytes of labels")
    lines = text.decode("utf-8").splitlines()[:MAX_LABELS]
    return tuple(
        "".join(c if c.isprintable() else " " for c in line[:MAX_LABEL]).strip() for line in lines
    )
