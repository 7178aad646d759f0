"""The whole way: a network, its firmware, the virtual board, the serial line, the verdict."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

from tinyvision import importer
from tinyvision.api import Where, profile, verify
from tinyvision.build import build, plan
from tinyvision.device import samples
from tinyvision.device.link import Link
from tinyvision.device.oracle import oracle_for
from tinyvision.device.profile import profile as take_profile
from tinyvision.device.serial_target import SerialTarget
from tinyvision.device.symbols import Symbols
from tinyvision.device.verify import verify as compare_with
from tinyvision.device.virtual import open_board
from tinyvision.target import board_names, load_board

BOARDS = [name for name in board_names() if load_board(name).hardware]
DEMO = Path(importer.__file__).parents[1] / "demo" / "digits.tflite"
SHARED = Path(__file__).parents[3] / "shared" / "models"


@pytest.fixture(scope="session")
def built(private_platformio, tmp_path_factory):
    """``built(board)``: the demo's network as firmware, once a session."""
    made = {}

    def get(board: str):
        if board not in made:
            out = tmp_path_factory.mktemp(board) / "project"
            made[board] = build(DEMO, board, out=out)
        return made[board]

    return get


@contextmanager
def running(built, elf: Path | None = None, cycles: bool | None = None):
    """Target and twin of a build, or of another ELF file of it; ``cycles`` as for the twin."""
    compiled = built.compiled
    elf = elf or built.result.elf
    with open_board(elf, compiled.board, cycles=cycles) as twin:
        target = SerialTarget(
            Link(twin.port, symbols=Symbols.read(elf), witness=twin.problem),
            kind="virtual",
            model_hash=importer.model_hash(compiled.model.data),
        )
        try:
            yield target, twin
        finally:
            target.close()


@pytest.mark.parametrize("board", BOARDS)
def test_equal_on_every_board(built, board):
    made = built(board)
    compiled = made.compiled
    drawn = samples.draw(compiled.model.graph, 5)
    with running(made) as (target, twin):
        oracle = oracle_for(compiled.model.graph, compiled.model.data)
        result = compare_with(compiled.graph, compiled.plan, target, drawn, oracle)
        assert result.mismatches == 0 and result.values > 0
        assert target.self_test().passed
        assert twin.problem() is None


@pytest.mark.parametrize("modelled", [True, False])
def test_counts_are_the_same_in_every_run(built, modelled):
    made = built("stm32h7")
    drawn = samples.draw(made.compiled.model.graph, 2).inputs
    counts = []
    for warm_up in (0, 1):
        with running(made, cycles=modelled) as (target, twin):
            for inputs in drawn[:warm_up]:
                target.feed(inputs)
                target.run()
            found = take_profile(made.compiled.plan, target, drawn[0], twin)
            counts.append([(layer.cycles, layer.instructions) for layer in found.layers])
    assert counts[0] == counts[1]
    # A Cortex-M7 issues two instructions a cycle at most; without the model a cycle is one.
    at_a_time = 2 if modelled else 1
    assert all(at_a_time * cycles >= instructions > 0 for cycles, instructions in counts[0])
    assert modelled or all(cycles == instructions for cycles, instructions in counts[0])
    assert found.sram_peak_bytes <= made.compiled.plan.sram_bytes
    assert 0 < found.stack_peak_bytes < 4096


@pytest.mark.parametrize("number", [0, 1, 3])
def test_a_damaged_constant_is_traced_to_its_layer(built, tmp_path, number):
    """Flipped bits in the flash, in the largest constant of one convolution: its weights."""
    made = built("stm32h7")
    compiled = made.compiled
    kinds = {op.name: op.kind for op in compiled.graph.ops}
    layers = [
        (index, step.op)
        for index, step in enumerate(compiled.plan.steps)
        if kinds[step.op] in ("Conv2D", "DepthwiseConv2D")
    ]
    index, name = layers[number]
    elf = bytearray(made.result.elf.read_bytes())
    start, size = _largest(made.result.elf, f"tv_{compiled.graph.name}_l{index:02}_")
    for position in range(start, start + size):
        elf[position] ^= 0x11
    damaged = tmp_path / "damaged.elf"
    damaged.write_bytes(elf)
    drawn = samples.draw(compiled.model.graph, 5)
    with running(made, damaged) as (target, _):
        oracle = oracle_for(compiled.model.graph, compiled.model.data)
        result = compare_with(compiled.graph, compiled.plan, target, drawn, oracle)
        assert result.mismatches > 0
        assert result.first_divergent_layer == name
        assert not target.self_test().passed


def _largest(path: Path, prefix: str) -> tuple[int, int]:
    """Where in an ELF file the bytes of the largest constant of that prefix lie, and how many."""
    with path.open("rb") as stream:
        elf = ELFFile(stream)
        table = elf.get_section_by_name(".symtab")
        found = [s for s in table.iter_symbols() if s.name.startswith(prefix)]
        symbol = max(found, key=lambda s: s["st_size"])
        section = elf.get_section(symbol["st_shndx"])
        offset = symbol["st_value"] - section["sh_addr"]
        return section["sh_offset"] + offset, symbol["st_size"]


def test_code_is_where_the_symbols_say(built):
    made = built("stm32h7")
    symbols = Symbols.read(made.result.elf)
    with made.result.elf.open("rb") as stream:
        entry = ELFFile(stream)["e_entry"]
    assert symbols.at(entry & ~1) is not None
    assert symbols.describe(0x40000000) == "0x40000000"


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the shared models")
@pytest.mark.parametrize("model", ["ad_autoencoder", "kws_dscnn", "vww_mcunet"])
def test_real_networks(private_platformio, tmp_path, model):
    path = SHARED / f"{model}.tflite"
    compiled = plan(path, "stm32h7")
    where = Where(virtual=True)
    result = verify(
        compiled,
        "stm32h7",
        where=where,
        inputs=path.with_suffix(".golden.npz"),
        out=tmp_path / "project",
    )
    assert (result["mismatches"], result["target"]) == (0, "virtual")
    _, found = profile(compiled, "stm32h7", where=where, out=tmp_path / "project")
    assert found.source == "modelled" and found.instructions > compiled.plan.macs_executed
