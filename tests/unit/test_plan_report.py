"""Plans and profiles as text, as a picture, and as a page that a browser shows."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import pytest
from PIL import Image
from rich.console import Console

from tests.support.networks import Builder, board, candidates
from tinyvision import schedule
from tinyvision.ir.macs import graph_macs
from tinyvision.report import plan_html, plan_svg, print_build, print_plan, print_profile
from tinyvision.report import profile_html as make_profile_html
from tinyvision.report.segment_map import segment_maps
from tinyvision.report.segment_svg import segment_svgs
from tinyvision.report.text import count_text, shape_text, short_name, size_text

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture(scope="module")
def planned():
    """Graph, plan and board of a small residual network in two banks."""
    net = Builder("residual <net>")
    x = net.conv(net.input(1, 24, 24, 3), 8, 3, 2)
    for _ in range(2):
        x = net.add(x, net.conv(net.depthwise(net.conv(x, 24)), 8))
    graph = net.graph(net.dense(net.reshape(x, 1, 1152), 10))
    target = replace(board(4096, 65536), title="Test & Sons")
    plan = schedule.plan(graph, target, candidates=candidates, macs_original=graph_macs(graph))
    assert all(bank.used_bytes for bank in plan.banks)
    return graph, plan, target


@pytest.mark.parametrize("kind", ["patch", "stream"])
def test_segments_are_drawn(planned, kind):
    """Each tensor once, to scale; in a patch with the tile in the middle and the grid of tiles."""
    graph, _, target = planned
    options = {"patches": (3, 3)} if kind == "patch" else {}
    plan = schedule.plan(graph, target, macs_original=0, schedule=kind, **options)
    drawn = [s for s in plan.segments if s.kind == kind]
    pictures = list(segment_maps(graph, plan))
    assert drawn and len(pictures) == len(drawn) == len(segment_svgs(graph, plan))
    console = Console(file=io.StringIO(), width=2000)
    print_plan(console, graph, plan, target)
    fields = [" → ".join(sheet.text for sheet in picture.sheets) for picture in pictures]
    assert all(field in console.file.getvalue() for field in fields)
    for segment, picture in zip(drawn, pictures, strict=True):
        steps = plan.steps[segment.first_step : segment.last_step + 1]
        names = {name for step in steps for name in (*step.inputs, *step.outputs)}
        assert len(picture.sheets) == len([n for n in names if len(graph.tensor(n).shape) == 4])
        for sheet in picture.sheets:
            whole, *inside = sheet.areas
            for area in inside:
                assert whole.x <= area.x + 0.01
                assert area.x + area.width <= whole.x + whole.width + 2
                assert area.y + area.height <= whole.y + whole.height + 2
        if kind == "patch":
            assert sum(len(sheet.cuts) for sheet in picture.sheets) == 9
    assert plan_html(graph, plan, target).count('class="tv-segment"') == len(drawn)
    for text in segment_svgs(graph, plan):
        ElementTree.fromstring(text)


@pytest.fixture
def profile(planned):
    _, plan, _ = planned
    layers = [
        {
            "name": step.op,
            "op": step.kind,
            "kernel": step.kernel.variant,
            "cycles": 2 * step.macs + 1000,
            "instructions": step.macs + 900,
            "macs": step.macs,
            "share": 0.1,
        }
        for step in plan.steps
    ]
    cycles = sum(layer["cycles"] for layer in layers)
    return {
        "source": "modelled",
        "cycles": cycles,
        "instructions": cycles,
        "clock_mhz": 100.0,
        "latency_ms": cycles / 1e5,
        "macs_per_cycle": plan.macs_executed / cycles,
        "sram_peak_bytes": plan.sram_bytes,
        "stack_peak_bytes": 812,
        "layers": layers,
    }


def shown(print_it, *arguments, width: int) -> list[str]:
    text = io.StringIO()
    print_it(Console(width=width, file=text, force_terminal=False), *arguments)
    return text.getvalue().splitlines()


@pytest.mark.parametrize("width", [80, 100, 140])
def test_the_table_shows_every_layer_and_its_memory(planned, width):
    graph, plan, target = planned
    lines = shown(print_plan, graph, plan, target, width=width)
    assert max(map(len, lines)) <= width
    rows = [line for line in lines if re.match(r" *\d+ op\d+ ", line)]
    assert len(rows) == len(plan.steps)
    for row, live in zip(rows, plan.live_bytes[1:], strict=False):
        assert size_text(live) in row
    assert "bank0" in "".join(lines) and size_text(plan.sram_bytes) in "".join(lines)


def test_the_picture_beside_a_layer_says_what_happens_to_the_bytes():
    net = Builder()
    x = net.input(1, 8, 8, 4)
    graph = net.graph(net.dense(net.reshape(net.add(x, x), 1, 256), 64))
    target = board(4096)
    plan = schedule.plan(graph, target, candidates=candidates, macs_original=0)
    lines = shown(print_plan, graph, plan, target, width=100)
    pictures = [re.findall(r"[█▒▓░s·]{8,}$", line.rstrip()) for line in lines]
    fed, added, reshaped, dense = (found[0] for found in pictures if found)
    assert set(fed) == {"█", "·"} and set(added) == {"▓", "·"} and set(reshaped) == {"▓", "·"}
    assert set(dense) == {"▒", "█"} and dense.count("▒") == pytest.approx(4 * dense.count("█"), 0.1)


def test_the_map_draws_every_buffer_inside_the_picture(planned):
    graph, plan, target = planned
    root = ElementTree.fromstring(plan_svg(graph, plan, target))
    space = "{http://www.w3.org/2000/svg}"
    width, height = float(root.get("width")), float(root.get("height"))
    boxes = [r for r in root.iter(f"{space}rect") if "box" in r.get("class", "").split()]
    assert len(boxes) == len(plan.buffers)
    assert {box.find(f"{space}title").text.split(":")[0] for box in boxes} == set(plan.buffers)
    for box in boxes:
        x, y, w, h = (float(box.get(key)) for key in ("x", "y", "width", "height"))
        assert x >= 0 and y >= 0 and w > 0 and h > 0
        assert x + w <= width + 1 and y + h <= height + 1
    texts = "".join(root.itertext())
    for bank in plan.banks:
        assert f"{bank.name}: {size_text(bank.used_bytes)}" in texts
    assert plan.steps[plan.peak_step].op in texts


def test_boxes_of_one_bank_share_no_area(planned):
    """Bytes that are written over within a step change hands in the middle of its column."""
    graph, plan, target = planned
    root = ElementTree.fromstring(plan_svg(graph, plan, target))
    boxes = [
        [float(r.get(key)) for key in ("x", "y", "width", "height")]
        for r in root.iter("{http://www.w3.org/2000/svg}rect")
        if "box" in r.get("class", "").split() and "scratch" not in r.get("class")
    ]
    for index, (x, y, w, h) in enumerate(boxes):
        for x2, y2, w2, h2 in boxes[:index]:
            wide = min(x + w, x2 + w2) - max(x, x2)
            high = min(y + h, y2 + h2) - max(y, y2)
            assert wide <= 0.3 or high <= 2.6


def browse(tmp_path, page: str) -> tuple[str, Image.Image]:
    """The page's document and its picture, as Chromium renders them."""
    path, picture = tmp_path / "page.html", tmp_path / "page.png"
    path.write_text(page, encoding="utf-8")
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    command += [f"--user-data-dir={tmp_path / 'profile'}", "--window-size=1280,1400"]
    dom = subprocess.run(
        [*command, "--dump-dom", path.as_uri()], capture_output=True, text=True, timeout=120
    )
    subprocess.run(
        [*command, f"--screenshot={picture}", path.as_uri()], capture_output=True, timeout=120
    )
    return dom.stdout, Image.open(picture)


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")
def test_a_browser_shows_the_profile(planned, profile, tmp_path):
    graph, plan, target = planned
    document, picture = browse(tmp_path, make_profile_html(graph, plan, target, profile))
    text = re.sub(r"\s+", " ", re.sub(r"(?s)<(style|title)>.*?</\1>|<[^>]+>", " ", document))
    assert "Profile: residual &lt;net&gt;" in text and "Test &amp; Sons" in text
    assert f"{profile['latency_ms']:.2f} ms" in text and size_text(plan.sram_bytes) in text
    for step in plan.steps:
        assert step.op in text
    for word in ("exact", "modelled", "Memory over time"):
        assert word in text
    assert "measured" not in text, "nothing of a virtual board may pass for measured"
    # Bars, boxes and cards are there, not a blank page.
    assert picture.size == (1280, 1400)
    assert len(picture.convert("RGB").quantize(64).getcolors()) > 20


def test_pages_need_nothing_from_elsewhere(planned, profile):
    graph, plan, target = planned
    for page in (plan_html(graph, plan, target), make_profile_html(graph, plan, target, profile)):
        addresses = set(re.findall(r"https?://[^\"'\s>]+", page))
        assert addresses <= {"http://www.w3.org/2000/svg"}
        assert not re.search(r"<(script|link|img|iframe)\b|@import|url\((?!#)", page)
        assert "<net>" not in page


def test_measured_figures_are_marked_measured(planned, profile):
    page = make_profile_html(*planned, {**profile, "source": "measured", "instructions": None})
    assert 'class="source measured"' in page and 'class="source modelled"' not in page
    assert "instructions" not in page


@pytest.mark.parametrize("width", [80, 120])
def test_a_profile_prints_a_bar_for_each_layer(profile, width):
    lines = shown(print_profile, profile, width=width)
    assert max(map(len, lines)) <= width
    assert f"{profile['cycles']:,}" in "\n".join(lines) and "(modelled)" in "\n".join(lines)
    rows = [line for line in lines if re.match(r" *\d+ op\d+ ", line)]
    longest = max(profile["layers"], key=lambda layer: layer["cycles"])
    most = max(rows, key=lambda row: row.count("█"))
    assert len(rows) == len(profile["layers"]) and f" {longest['name']} " in most


def test_a_build_prints_its_sizes():
    class Built:
        def to_json(self):
            sizes = {"text": 9000, "rodata": 200_000, "data": 40, "flash_total": 209_040}
            return {
                **{f"{part}_bytes": size for part, size in sizes.items()},
                "elf": "a/firmware.elf",
                "project": "a",
                "sram_bytes": 55_296,
                "stack_bytes": 400,
                "build_seconds": 4.25,
                "banks": [{"name": "dtcm", "used_bytes": 55_296, "size_bytes": 118_784}],
            }

    text = "\n".join(shown(print_build, Built(), width=100))
    for part in ("a/firmware.elf", "209.0 KB", "55.3 KB of 118.8 KB", "400 B", "4.2 s"):
        assert part in text


def test_numbers_and_names_read_well():
    assert [size_text(n) for n in (0, 812, 55_296, 2_097_152)] == [
        "0 B",
        "812 B",
        "55.3 KB",
        "2.10 MB",
    ]
    assert [count_text(n) for n in (812, 7_490_000, 264_192)] == ["812", "7.49 M", "264.2 k"]
    assert shape_text((1, 48, 48, 8)) == "48\N{MULTIPLICATION SIGN}48\N{MULTIPLICATION SIGN}8"
    assert shape_text((1,)) == "1" and shape_text(()) == "1"
    assert short_name("net/block_3/conv2d/Relu6;net/bn/Fused", 16) == "conv2d/Relu6"
    assert short_name("x" * 40, 10) == "x" * 9 + "…"
