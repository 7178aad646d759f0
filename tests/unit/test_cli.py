"""The command line's promises: exit codes, one message a mistake, JSON alone on stdout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.command import command as tinyvision
from tinyvision import __version__

DIGITS = Path(__file__).parents[2] / "tinyvision" / "demo" / "digits.tflite"
COMMANDS = ("demo", "new", "boards", "doctor", "check", "plan", "build", "flash", "verify")
COMMANDS += ("profile", "run", "export", "bench", "train", "evaluate", "zoo")


def alone(*arguments, stdout=subprocess.PIPE, **variables):
    """Runs the program as a user would, from nothing."""
    environment = os.environ | {"NO_COLOR": "1"} | variables
    return subprocess.run(
        [sys.executable, "-m", "tinyvision", *map(str, arguments)],
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        env=environment | {"PYTHONPATH": str(Path(__file__).parents[2])},
    )


def refused(*arguments, cwd=None):
    """stderr of a command that must fail as a user's error: one message, no traceback."""
    done = tinyvision(*arguments, cwd=cwd)
    assert done.returncode == 1, done.stderr
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    return done.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example(command):
    done = tinyvision(command, "--help")
    assert done.returncode == 0
    assert f"tinyvision {command}" in done.stdout.split("Example:")[1]


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        ("plan",),
        ("plan", DIGITS),
        ("plan", DIGITS, "--board", "stm32h7", "--sram", "lots"),
        ("plan", DIGITS, "--board", "stm32h7", "--schedule", "patch", "--patches", "3"),
        ("plan", DIGITS, "--board", "stm32h7", "--patches", "3x3"),
        ("verify", DIGITS, "--board", "stm32h7", "--virtual", "--host"),
        ("profile", DIGITS, "--board", "stm32h7", "--virtual", "--port", "x"),
        ("flash", "--board", "stm32h7", "--virtual", "--port", "x"),
        ("run", "a.png", "--model", DIGITS, "--board", "stm32h7", "--virtual", "--port", "x"),
        ("export", DIGITS, "--format", "tar", "--out", "x"),
    ],
)
def test_wrong_usage_exits_with_2(arguments, tmp_path):
    assert tinyvision(*arguments, cwd=tmp_path).returncode == 2


def test_version():
    done = alone("--version")
    assert (done.returncode, done.stdout) == (0, f"tinyvision {__version__}\n")


def test_a_poor_locale_is_no_reason_to_fail():
    poor = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"}
    done = alone("plan", DIGITS, "--board", "stm32h7", **poor)
    assert done.returncode == 0, done.stderr
    assert "softmax" in done.stdout


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_one_error():
    with Path("/dev/full").open("w") as full:
        done = alone("boards", "--json", stdout=full)
    assert done.returncode == 1
    assert done.stderr == "error: output: No space left on device\n"


def test_boards_fit_a_terminal():
    lines = alone("boards", COLUMNS="80").stdout.splitlines()
    assert all(len(line) <= 80 for line in lines)
    shown = {line.split()[0] for line in lines if line.strip()}
    assert {"stm32h7", "stm32f7", "stm32f4", "stm32l4", "qemu-m55", "host"} <= shown
    assert "hardware never" in " ".join(lines)


def test_boards_as_json():
    rows = json.loads(tinyvision("boards", "--json").stdout)["boards"]
    by_name = {row["name"]: row for row in rows}
    assert {"stm32h7", "stm32f7", "stm32f4", "stm32l4", "qemu-m55", "host"} <= set(by_name)
    assert by_name["stm32h7"]["core"] == "cortex-m7"
    assert by_name["stm32h7"]["virtual"] == "unicorn"
    assert "never" in by_name["stm32h7"]["tested"]["hardware"]


def test_plan_as_json_has_the_promised_keys():
    plan = json.loads(tinyvision("plan", DIGITS, "--board", "stm32h7", "--json").stdout)
    promised = (
        "model board schedule sram_bytes sram_with_input_bytes banks flash_bytes macs "
        "macs_executed recompute_factor fits segments layers"
    )
    assert set(promised.split()) <= set(plan)
    assert plan["sram_bytes"] == sum(bank["used_bytes"] for bank in plan["banks"])
    assert plan["macs"] == sum(layer["macs"] for layer in plan["layers"])


def test_plan_writes_its_pictures(tmp_path):
    pictures = tmp_path / "plan.html", tmp_path / "plan.svg"
    done = tinyvision(
        "plan", DIGITS, "--board", "stm32h7", "--html", pictures[0], "--svg", pictures[1]
    )
    assert done.returncode == 0, done.stderr
    assert pictures[0].read_text().lower().startswith("<!doctype html")
    assert pictures[1].read_text().startswith("<svg")


def test_check_says_what_fits():
    done = tinyvision("check", DIGITS, "--board", "stm32f4", "--json")
    assert done.returncode == 0
    result = json.loads(done.stdout)
    assert result["supported"] and result["fits"] and result["sram_bytes"] < 10_000


def test_a_wrong_board_offers_the_nearest_names():
    assert "stm32h7" in refused("plan", DIGITS, "--board", "stm32h77")


def test_a_wrong_network_offers_the_nearest_names():
    assert "mcunet-vww1" in refused("zoo", "mcunet-vw1")


def test_a_missing_model_is_named(tmp_path):
    assert "none.tflite" in refused("plan", tmp_path / "none.tflite", "--board", "stm32h7")


@pytest.mark.parametrize("command", ["plan", "check", "build"])
def test_a_broken_model_is_one_error(command, tmp_path):
    broken = tmp_path / "broken.tflite"
    broken.write_bytes(DIGITS.read_bytes()[:1000])
    assert "broken.tflite" in refused(command, broken, "--board", "stm32h7", cwd=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["broken.tflite"]


def test_too_little_memory_says_by_how_much_and_where():
    message = refused("plan", DIGITS, "--board", "stm32h7", "--sram", "2K")
    assert "2.0 KB" in message and "too much" in message and "would help" in message


def test_a_missing_port_is_named(tmp_path):
    port = tmp_path / "ttyNONE"
    assert "ttyNONE" in refused("verify", DIGITS, "--board", "stm32h7", "--port", port)


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="needs /dev/zero")
def test_a_model_without_end_is_refused():
    assert "too large" in refused("check", "/dev/zero")


def test_a_board_that_is_no_hardware_has_no_port():
    assert "no board on a serial port" in refused("profile", DIGITS, "--board", "host")


@pytest.mark.parametrize("out", ["file", "file/below", "no/" + "x" * 300])
def test_a_project_that_cannot_be_written_is_one_error(out, tmp_path):
    (tmp_path / "file").write_text("mine")
    refused("export", DIGITS, "--format", "platformio", "-b", "stm32h7", "-o", out, cwd=tmp_path)
    left = {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*")}
    assert left <= {"file", "no"} and (tmp_path / "file").read_text() == "mine"


def test_export(tmp_path):
    done = tinyvision("export", DIGITS, "-f", "c", "-o", "out", "--json", cwd=tmp_path)
    assert json.loads(done.stdout)["out"] == "out"
    assert (tmp_path / "out" / "include" / "tv_digits.h").is_file()


def test_the_host_is_no_board_to_build_for(tmp_path):
    assert "--host" in refused("build", DIGITS, "--board", "host", cwd=tmp_path)


def test_a_folder_of_somebody_elses_is_not_overwritten(tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("years of work")
    refused("build", DIGITS, "--board", "stm32h7", "--out", mine)
    assert [path.name for path in mine.iterdir()] == ["thesis.txt"]


def test_inside_a_project_model_and_board_may_be_left_out(tmp_path):
    assert tinyvision("new", "cats", cwd=tmp_path).returncode == 0
    folder = tmp_path / "cats"
    (folder / "model.tflite").write_bytes(DIGITS.read_bytes())
    plan = json.loads(tinyvision("plan", "--json", cwd=folder).stdout)
    assert plan["board"] == "stm32h7" and plan["model"] == "model"


def test_verify_on_the_host():
    done = tinyvision("verify", DIGITS, "--host", "--samples", "5", "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["samples"], result["mismatches"], result["target"]) == (5, 0, "host")
    assert result["values"] == 50


def test_the_board_host_is_this_computer():
    done = tinyvision("verify", DIGITS, "--board", "host", "--samples", "2", "--json")
    assert json.loads(done.stdout)["target"] == "host"


def test_verify_reports_expectations_that_do_not_hold(tmp_path):
    import numpy as np

    inputs = np.zeros((2, 1, 32, 32, 1), np.int8)
    np.savez(tmp_path / "wrong.npz", inputs=inputs, outputs_0=np.full((2, 1, 10), 7, np.int8))
    done = tinyvision("verify", DIGITS, "--host", "--inputs", tmp_path / "wrong.npz", "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["mismatches"] > 0
