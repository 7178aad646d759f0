"""Files are written whole or not at all."""

from __future__ import annotations

import pytest

from tinyvision.errors import UserError
from tinyvision.files import write_folder, write_whole


def test_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    target = tmp_path / "report.html"
    target.write_text("old")
    with pytest.raises(UnicodeEncodeError):
        write_whole(target, "\udc80")
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_folder_appears_whole_or_not_at_all(tmp_path):
    files = {"a": "1", "deep/b": "2", "c" * 300: "no system takes that name"}
    with pytest.raises(UserError, match="cannot write"):
        write_folder(tmp_path / "new" / "folder", files)
    assert list((tmp_path / "new").iterdir()) == []
    del files["c" * 300]
    write_folder(tmp_path / "new" / "folder", files)
    assert (tmp_path / "new" / "folder" / "deep" / "b").read_text() == "2"
    with pytest.raises(UserError, match="in the way"):
        write_folder(tmp_path / "new", files)


def test_write_into_a_file_as_folder_is_a_user_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write"):
        write_whole(tmp_path / "file" / "report.html", "x")
