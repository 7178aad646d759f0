"""Project folders and files that are written whole or not at all."""

from __future__ import annotations

import pytest

from tinyvision import project
from tinyvision.errors import UserError


def test_new_project_is_found_again(tmp_path):
    written = project.create(tmp_path / "cats")
    assert tmp_path / "cats" / project.FILE in written
    found = project.find(tmp_path / "cats")
    assert found is not None
    assert found.board == "stm32h7"
    assert found.model == tmp_path / "cats" / "model.tflite"


def test_second_project_in_the_same_folder_is_refused(tmp_path):
    project.create(tmp_path)
    with pytest.raises(UserError, match="already"):
        project.create(tmp_path)


def test_files_of_the_user_are_kept(tmp_path):
    (tmp_path / "README.md").write_text("mine")
    project.create(tmp_path)
    assert (tmp_path / "README.md").read_text() == "mine"


@pytest.mark.parametrize(
    "text, why",
    [
        ("[project]\nbaord = 'x'\n", "baord"),
        ("[project]\nboard = 3\n", "board"),
        ("[project\n", "cannot be read"),
        ("project = 1\n", "no table"),
    ],
)
def test_broken_project_files_are_named(tmp_path, text, why):
    (tmp_path / project.FILE).write_text(text)
    with pytest.raises(UserError, match=why):
        project.find(tmp_path)


def test_no_project_is_none(tmp_path):
    assert project.find(tmp_path) is None


def test_what_an_earlier_training_wrote_does_not_stay_beside_the_new_model(tmp_path):
    trained, model = tmp_path / "build" / "train", tmp_path / "model.tflite"
    trained.mkdir(parents=True)
    (trained / "model.tflite").write_bytes(b"new")
    (tmp_path / "model.qat.keras").write_bytes(b"old")
    project.install(trained, model)
    assert model.read_bytes() == b"new"
    assert not (tmp_path / "model.qat.keras").exists()
