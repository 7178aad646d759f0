"""Project folders: whole or not at all, and gentle with what is the user's."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from tests.support import fake_model
from tinyvision.errors import BoardError, UserError
from tinyvision.firmware import project as project_module
from tinyvision.firmware.project import MANIFEST, open_project, write_project
from tinyvision.firmware.render import USER_FILES, render_project
from tinyvision.target import load_board
from tinyvision.target.board import Boot

BOARD = load_board("stm32f4")


def write(path, library=None, board=BOARD):
    library = fake_model.library(board) if library is None else library
    return write_project(path, board, "fake", library, fake_model.banks(board), "A fake")


def files(path):
    return {p.relative_to(path).as_posix(): p.read_text() for p in path.rglob("*") if p.is_file()}


def test_a_new_project_is_complete(tmp_path):
    project = write(tmp_path / "out")
    written = files(tmp_path / "out")
    record = json.loads(written.pop(MANIFEST))
    assert set(record["files"]) == set(written)
    assert {
        "platformio.ini",
        "src/main.c",
        "lib/fake/src/tv_fake.c",
        "platform/platform.py",
    } <= set(written)
    assert not any("{{" in text or "{%" in text for text in written.values())
    assert open_project(tmp_path / "out") == project
    assert list(tmp_path.iterdir()) == [tmp_path / "out"], "nothing is left beside it"


def test_a_failure_leaves_nothing_behind(tmp_path):
    with pytest.raises(UserError, match="cannot write"):
        write(tmp_path / "out", {"src/a.c": "", f"src/{'b' * 300}.c": "no system takes that name"})
    assert list(tmp_path.iterdir()) == []


def test_an_update_writes_only_what_differs(tmp_path):
    path = tmp_path / "out"
    write(path)
    before = {p: p.stat().st_mtime_ns for p in path.rglob("*") if p.is_file()}
    library = fake_model.library(BOARD)
    library["src/tv_fake.c"] += "/* changed */\n"
    library["src/more.c"] = "int more;\n"
    write(path, library)
    after = {p: p.stat().st_mtime_ns for p in path.rglob("*") if p.is_file()}
    changed = {p.name for p in after if after[p] != before.get(p)}
    assert changed == {"tv_fake.c", "more.c", MANIFEST}
    write(path)
    assert not (path / "lib/fake/src/more.c").exists(), "files no longer generated go"


def test_files_of_the_user_stay(tmp_path):
    path = tmp_path / "out"
    write(path)
    (path / "src/main.c").write_text("int main(void) { return 7; }\n")
    (path / "src/mine.c").write_text("int mine;\n")
    (path / ".pio").mkdir()
    (path / ".pio/cache").write_text("objects")
    write(path)
    assert "return 7" in (path / "src/main.c").read_text()
    assert (path / "src/mine.c").exists()
    assert (path / ".pio/cache").exists()


def test_an_untouched_user_file_is_brought_up_to_date(tmp_path):
    path = tmp_path / "out"
    write(path)
    faster = replace(
        BOARD, hardware=replace(BOARD.hardware, uart=replace(BOARD.hardware.uart, baud=230400))
    )
    write(path, board=faster)
    assert "monitor_speed = 230400" in (path / "platformio.ini").read_text()


def test_generated_files_changed_by_hand_are_not_overwritten(tmp_path):
    path = tmp_path / "out"
    write(path)
    kernel = path / "lib/fake/src/tv_fake.c"
    kernel.write_text(kernel.read_text() + "/* my own speed-up */\n")
    before = files(path)
    library = fake_model.library(BOARD)
    library["include/tv_fake.h"] += "/* new */\n"
    with pytest.raises(UserError, match=r"changed by hand.*tv_fake\.c"):
        write(path, library)
    assert files(path) == before
    kernel.unlink()
    write(path, library)
    assert "speed-up" not in kernel.read_text()


def test_an_interrupted_update_can_be_repeated(tmp_path, monkeypatch):
    path = tmp_path / "out"
    write(path)
    library = {p: text + "\n" for p, text in fake_model.library(BOARD).items()}
    original = project_module.write_whole
    calls = []

    def failing(target, text):
        calls.append(target)
        if len(calls) == 3:
            raise OSError("disk full")
        original(target, text)

    monkeypatch.setattr(project_module, "write_whole", failing)
    with pytest.raises(UserError, match="disk full"):
        write(path, library)
    monkeypatch.undo()
    write(path, library)
    assert files(path)["lib/fake/src/tv_fake.c"].endswith("\n\n")
    assert not list(path.rglob(".tinyvision.??*[!n]"))


@pytest.mark.parametrize("existing", ["notes.txt", "platformio.ini"])
def test_a_folder_that_is_not_ours_is_refused(tmp_path, existing):
    path = tmp_path / "out"
    path.mkdir()
    (path / existing).write_text("precious")
    with pytest.raises(UserError, match="no tinyvision project"):
        write(path)
    assert files(path) == {existing: "precious"}


def test_a_file_is_not_overwritten_and_an_empty_folder_is_used(tmp_path):
    (tmp_path / "file").write_text("precious")
    with pytest.raises(UserError, match="overwrite a file"):
        write(tmp_path / "file")
    (tmp_path / "empty").mkdir()
    write(tmp_path / "empty")
    with pytest.raises(UserError, match="no tinyvision project"):
        open_project(tmp_path / "nowhere")


@pytest.mark.parametrize("record", ["", "[]", '{"files": {}}', '{"files": 3, "board": "x"}'])
def test_a_broken_record_is_refused(tmp_path, record):
    path = tmp_path / "out"
    write(path)
    (path / MANIFEST).write_text(record)
    with pytest.raises(UserError, match="record is broken"):
        write(path)


def test_user_files_exist_in_every_project():
    rendered = render_project(BOARD, "fake", "A\nb", {}, fake_model.banks(BOARD))
    assert set(rendered) >= USER_FILES
    assert rendered["platformio.ini"].startswith("; A b on ST NUCLEO")


def test_drivers_and_their_settings_must_match():
    def with_clock(driver, settings):
        clock = replace(BOARD.hardware.clock, driver=driver, settings=settings)
        return replace(BOARD, hardware=replace(BOARD.hardware, clock=clock))

    def render(board):
        return render_project(board, "fake", "fake", {}, fake_model.banks(board))

    settings = BOARD.hardware.clock.settings
    with pytest.raises(BoardError, match=r"no clock driver 'z80'.*stm32f4, "):
        render(with_clock("z80", settings))
    with pytest.raises(BoardError, match="missing pll_m"):
        render(with_clock("stm32f4", tuple(s for s in settings if s[0] != "pll_m")))
    with pytest.raises(BoardError, match="unknown warp"):
        render(with_clock("stm32f4", (*settings, ("warp", 9))))
    with pytest.raises(BoardError, match="no firmware for this board"):
        render(load_board("host"))
    booted = replace(BOARD.hardware, boot=Boot("rom", "flash"))
    with pytest.raises(BoardError, match="no boot driver 'rom'"):
        render(replace(BOARD, hardware=booted))
