"""Faults that leave the results right, planted in the generated C: each is found and named."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from tinyvision import api, firmware, importer
from tinyvision.build import plan
from tinyvision.device import samples
from tinyvision.device.link import FaultReport, Link
from tinyvision.device.oracle import oracle_for
from tinyvision.device.serial_target import SerialTarget
from tinyvision.device.symbols import Symbols
from tinyvision.device.verify import verify
from tinyvision.device.virtual import VirtualBoard
from tinyvision.device.virtual.sanitizer import Sanitizer
from tinyvision.errors import UserError

DEMO = Path(importer.__file__).parents[1] / "demo" / "digits.tflite"


@pytest.fixture(scope="module")
def compiled():
    return plan(DEMO, "stm32l4")


def plant(compiled, planted, directory):
    """An ELF of the model with a statement before the kernel call of each layer in ``planted``."""
    library = compiled.emit()
    path = "src/tv_digits.c"
    for layer, statement in planted.items():
        head = rf"(static void layer_{layer:02d}\(uint8_t \*const bank\[\]\)\n{{\n)"
        library[path], count = re.subn(head, rf"\1    {statement}\n", library[path])
        assert count == 1
    project = firmware.write_project(
        directory, compiled.board, "digits", library, compiled.plan.banks
    )
    return firmware.build(project).elf


def overrun(compiled):
    """A layer, and the first byte after its output that is none of its buffers'."""
    planned = compiled.plan
    for index, step in enumerate(planned.steps):
        names = [*step.inputs, *step.outputs, *([step.scratch] if step.scratch else [])]
        mine = [planned.buffers[name] for name in names]
        end = planned.buffers[step.outputs[0]].end
        if not any(b.offset <= end < b.end for b in mine):
            return index, end
    raise AssertionError("no layer has anything behind its output")


def with_scratch(compiled, after):
    """A later layer with scratch memory, and where that begins."""
    for index, step in enumerate(compiled.plan.steps):
        if index > after and step.scratch:
            return index, compiled.plan.buffers[step.scratch].offset
    raise AssertionError("no layer has scratch memory")


def test_overruns_and_reads_of_nothing_are_named(compiled, private_platformio, tmp_path):
    first, end = overrun(compiled)
    second, scratch = with_scratch(compiled, first)
    elf = plant(
        compiled,
        {
            first: f"((volatile uint8_t *)bank[0])[{end}] = 1;",
            second: f"(void)((volatile uint8_t *)bank[0])[{scratch}];",
        },
        tmp_path / "project",
    )
    found = {}
    with VirtualBoard(elf, compiled.board) as twin:
        target = SerialTarget(Link(twin.port), kind="virtual")
        sanitizer = Sanitizer(compiled.plan, compiled.board, twin.machine, Symbols.read(elf))
        drawn = samples.draw(compiled.model.graph, 1)
        oracle = oracle_for(compiled.model.graph, compiled.model.data)
        verify(compiled.graph, compiled.plan, target, drawn, oracle, observer=sanitizer)
        found = {finding.layer: finding for finding in sanitizer.findings}
        target.close()
    steps, address = compiled.plan.steps, compiled.board.banks[0].address
    assert set(found) == {steps[first].op, steps[second].op}
    write, read = found[steps[first].op], found[steps[second].op]
    assert write.kind == "write outside of the layer's buffers"
    assert write.address == address + end and write.count == 1
    assert f"layer_{first:02d}" in write.place
    assert read.kind == "read of memory never written"
    assert read.address == address + scratch
    assert "byte 0 of scratch" in read.buffer and f"layer_{second:02d}" in read.place


def test_an_unaligned_access_is_named(compiled, private_platformio, tmp_path):
    # In a block of its own: where a block both loads and overwrites the base, the twin misses it.
    assembly = "b 1f; 1: ldrd r2, r3, [%0]; b 2f; 2:"
    statement = f'__asm volatile("{assembly}" : : "r"(bank[0] + 2) : "r2", "r3");'
    elf = plant(compiled, {3: statement}, tmp_path / "project")
    with VirtualBoard(elf, compiled.board) as twin:
        link = Link(twin.port, symbols=Symbols.read(elf))
        target = SerialTarget(link, kind="virtual")
        shape = compiled.model.graph.tensor(compiled.model.graph.inputs[0]).shape
        target.feed([np.zeros(shape, np.int8)])
        with pytest.raises(FaultReport, match=r"layer_03.* in layer 3"):
            target.run()
        assert "unaligned access" in twin.problem() and "layer_03" in twin.problem()
        target.close()


@pytest.mark.parametrize("board", ["stm32l4", "stm32h7"])  # one that issues two at once, too
def test_a_sound_model_has_no_findings(board, private_platformio, tmp_path):
    result = api.verify(
        DEMO,
        board,
        where=api.Where(virtual=True),
        samples=1,
        sanitize=True,
        out=tmp_path / "project",
    )
    assert result["mismatches"] == 0 and result["findings"] == []


def test_accesses_are_watched_on_virtual_boards_only(compiled):
    with pytest.raises(UserError, match="virtual board only"):
        api.verify(compiled, compiled.board, where=api.Where(host=True), sanitize=True)
