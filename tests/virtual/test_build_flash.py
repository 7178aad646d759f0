"""What the uploaders would be told. They are stand-ins that write down how they were called: no
uploader has met a real board yet.
"""

from __future__ import annotations

import stat
import sys

import pytest

from tests.support import fake_model
from tinyvision.device import flash as flash_module
from tinyvision.device.flash import choose_upload, find_port, flash
from tinyvision.errors import BoardError, ToolError
from tinyvision.firmware import build, write_project
from tinyvision.target import load_board


def built(folder, name):
    board = load_board(name)
    library, banks = fake_model.library(board), fake_model.banks(board)
    return build(write_project(folder, board, "fake", library, banks)).project


@pytest.fixture(scope="module")
def project(private_platformio, tmp_path_factory):
    return built(tmp_path_factory.mktemp("flash") / "firmware", "stm32h7")


@pytest.fixture
def tools(tmp_path, monkeypatch):
    """``tools(name, status)`` puts a stand-in on PATH; ``tools.calls`` is the file of calls."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    monkeypatch.setattr(flash_module, "_has_module", lambda name: False)

    def make(name, status=0):
        path = folder / name
        path.write_text(
            f"#!{sys.executable}\n"
            "import sys\n"
            f"open({str(tmp_path / 'calls')!r}, 'a').write(repr(sys.argv[1:]) + '\\n')\n"
            f"print('stand-in for {name}')\n"
            f"sys.exit({status})\n"
        )
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    make.calls = tmp_path / "calls"
    return make


def test_openocd_writes_verifies_and_resets(project, tools):
    tools("openocd")
    result = flash(project, load_board("stm32h7"), protocol="openocd")
    assert result.protocol == "openocd"
    (call,) = tools.calls.read_text().splitlines()
    assert "'-f', 'board/st_nucleo_h743zi.cfg'" in call
    assert f"program {{{project.elf}}} verify reset exit" in call


def test_the_first_uploader_that_is_installed_is_used(project, tools):
    tools("st-flash")
    assert flash(project, load_board("stm32h7")).protocol == "st-flash"
    (call,) = tools.calls.read_text().splitlines()
    hex_file = str(project.elf.with_suffix(".hex"))
    assert call == repr(["--reset", "--format", "ihex", "write", hex_file])


def test_jlink_gets_its_script(project, tools):
    tools("JLinkExe")
    flash(project, load_board("stm32h7"), protocol="jlink")
    (call,) = tools.calls.read_text().splitlines()
    assert "'-device', 'STM32H743ZI'" in call
    script = (project.build_dir / "upload.jlink").read_text()
    assert "loadfile" in script
    assert "firmware.hex" in script


def test_a_pico_by_its_own_usb_or_by_a_debug_probe(private_platformio, tmp_path, tools):
    project, board = built(tmp_path / "pico", "rp2040"), load_board("rp2040")
    tools("picotool")
    assert flash(project, board).protocol == "picotool"
    tools("openocd")
    assert flash(project, board).protocol == "openocd"
    by_usb, by_probe = tools.calls.read_text().splitlines()
    assert by_usb == repr(["load", "--verify", "--execute", str(project.elf)])
    assert "'-f', 'interface/cmsis-dap.cfg', '-f', 'target/rp2040.cfg'" in by_probe


def test_a_failing_uploader_is_told(project, tools):
    tools("openocd", status=1)
    with pytest.raises(ToolError, match=r"flashing through openocd failed.*Error 1"):
        flash(project, load_board("stm32h7"), protocol="openocd")


def test_builtin_pyocd_targets_come_first(monkeypatch):
    monkeypatch.setattr(flash_module, "_installed", lambda protocol: True)
    assert choose_upload(load_board("stm32h7")).protocol == "pyocd"
    assert choose_upload(load_board("stm32f7")).protocol == "openocd"
    for name in ("nrf52840", "rp2040", "rp2350"):
        assert choose_upload(load_board(name)).protocol == "pyocd"


def test_mistakes_are_told(project, tools, tmp_path):
    with pytest.raises(ToolError, match=r"no tool to flash.*pyocd.*openocd.*st-flash"):
        choose_upload(load_board("stm32h7"))
    with pytest.raises(BoardError, match="no uploader 'tape'"):
        choose_upload(load_board("stm32h7"), "tape")
    with pytest.raises(BoardError, match="cannot be flashed"):
        choose_upload(load_board("qemu-m55"))
    board = load_board("stm32f4")
    unbuilt = write_project(
        tmp_path / "p", board, "fake", fake_model.library(board), fake_model.banks(board)
    )
    with pytest.raises(ToolError, match="no firmware to flash"):
        flash(unbuilt, board)


def test_the_port_of_the_probe_is_found(monkeypatch):
    class Port:
        def __init__(self, device, vid, pid):
            self.device, self.vid, self.pid = device, vid, pid

    ports = [Port("/dev/ttyS0", None, None), Port("/dev/ttyACM0", 0x0483, 0x374B)]
    monkeypatch.setattr(flash_module.list_ports, "comports", lambda: ports)
    assert find_port(load_board("stm32h7")) == "/dev/ttyACM0"
    assert find_port(load_board("qemu-m55")) is None
    ports.append(Port("/dev/ttyACM1", 0x0483, 0x374B))
    assert find_port(load_board("stm32h7")) is None, "two of them: the user has to say"
