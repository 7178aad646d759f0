"""Board files: those that come with tinyvision, and every way to get one wrong."""

from __future__ import annotations

import pickle
from itertools import pairwise

import pytest

from tinyvision.errors import BoardError
from tinyvision.resources import data_folder
from tinyvision.target import board_names, load_board
from tinyvision.target.load import GUARD_BYTES

NAMES = board_names()
FIRST_PERIPHERAL = 0x4000_0000
REAL = [name for name in NAMES if load_board(name).hardware]


def test_the_boards_that_are_promised_are_there():
    stm32 = {f"stm32{family}" for family in ("h7", "h7a3", "f7", "f4", "l4", "u5", "g0")}
    assert stm32 | {"nrf52840", "rp2040", "rp2350", "qemu-m55", "host"} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_board_is_data(name):
    board = load_board(name)
    assert board.name == name
    assert board == pickle.loads(pickle.dumps(board))
    assert hash(board) == hash(load_board(name))
    assert len({bank.name for bank in board.banks}) == len(board.banks)


@pytest.mark.parametrize("name", REAL)
def test_banks_stack_and_variables_fit_their_memories(name):
    board = load_board(name)
    hardware = board.hardware
    layout = hardware.layout
    for bank in board.banks:
        memory = hardware.memory(bank.name)
        low = memory.address + (layout.stack_bytes if bank.name == layout.ram else 0)
        high = memory.end - (layout.data_bytes if bank.name == layout.ram else 0)
        assert low + GUARD_BYTES == bank.address
        assert bank.address + bank.size_bytes + GUARD_BYTES == high
        assert bank.address % 16 == 0


@pytest.mark.parametrize("name", REAL)
def test_memories_and_peripherals_do_not_overlap(name):
    hardware = load_board(name).hardware
    spans = []
    for memory in hardware.memories:
        for address in (memory.address, *memory.aliases):
            spans.append((address, address + memory.size_bytes, memory.name))
    for block in hardware.twin.peripherals:
        spans.append((block.address, block.address + block.size_bytes, block.name))
    for (_, end, first), (start, _, second) in pairwise(sorted(spans)):
        assert end <= start, f"{first} and {second} overlap"


@pytest.mark.parametrize("name", REAL)
def test_registers_that_start_up_touches_exist_on_the_twin(name):
    hardware = load_board(name).hardware
    if hardware.twin.engine != "unicorn":
        pytest.skip("QEMU has its own peripherals")
    touched = [bit.register for bit in (*hardware.layout.enables, *hardware.uart.enables)]
    settings = (*hardware.uart.settings, *hardware.clock.settings)
    touched += [hardware.uart.base, *(v for _, v in settings if v >= FIRST_PERIPHERAL)]
    blocks = [(b.address, b.address + b.size_bytes) for b in hardware.twin.peripherals]
    for register in touched:
        assert any(low <= register < high for low, high in blocks), hex(register)


@pytest.mark.parametrize("name", REAL)
def test_the_baud_rate_can_be_reached(name):
    uart = load_board(name).hardware.uart
    divider = round(uart.clock_hz / uart.baud)
    assert divider >= 16
    assert abs(uart.clock_hz / divider / uart.baud - 1) < 0.01


# STM32 data sheets and reference manuals: VCO input and output ranges in MHz, core clock.
PLL_RULES = {
    # name: (internal oscillator, VCO input low, high, VCO output low, high, output divider's name)
    "stm32h7": (64, 2, 16, 192, 836, "pll_p"),
    "stm32f7": (16, 1, 2, 100, 432, "pll_p"),
    "stm32f4": (16, 1, 2, 100, 432, "pll_p"),
    "stm32l4": (16, 2.66, 16, 64, 344, "pll_r"),
    "stm32h7a3": (64, 2, 16, 128, 560, "pll_p"),
    "stm32u5": (16, 4, 16, 128, 544, "pll_r"),
    "stm32g0": (16, 2.66, 16, 96, 344, "pll_r"),
}


@pytest.mark.parametrize("name", ["rp2040", "rp2350"])
def test_pll_settings_of_rp2_give_the_clock_within_the_limits(name):
    """RP2040 data sheet 2.18.2, RP2350 data sheet 8.6.2."""
    board = load_board(name)
    settings = dict(board.hardware.clock.settings)
    vco = 12 / settings["pll_refdiv"] * settings["pll_fbdiv"]
    assert 750 <= vco <= 1600 and 16 <= settings["pll_fbdiv"] <= 320
    assert 7 >= settings["pll_postdiv1"] >= settings["pll_postdiv2"] >= 1
    assert vco / settings["pll_postdiv1"] / settings["pll_postdiv2"] == board.clock_mhz
    assert board.hardware.uart.clock_hz == board.clock_mhz * 1e6


@pytest.mark.parametrize("name", PLL_RULES)
def test_pll_settings_give_the_clock_within_the_limits(name):
    board = load_board(name)
    settings = dict(board.hardware.clock.settings)
    source, input_low, input_high, vco_low, vco_high, output = PLL_RULES[name]
    vco_input = source / settings["pll_m"]
    vco = vco_input * settings["pll_n"]
    assert input_low <= vco_input <= input_high
    assert vco_low <= vco <= vco_high
    assert vco / settings[output] == board.clock_mhz


def test_uart_clocks_follow_from_the_dividers():
    for name, divider in (("stm32f7", "apb2_divider"), ("stm32f4", "apb1_divider")):
        board = load_board(name)
        divided = board.clock_mhz * 1e6 / dict(board.hardware.clock.settings)[divider]
        assert divided == board.hardware.uart.clock_hz
    for name in ("stm32h7", "stm32h7a3"):
        h7 = load_board(name)
        settings = dict(h7.hardware.clock.settings)
        bus = h7.clock_mhz * 1e6 / settings["ahb_divider"] / settings["apb_divider"]
        assert bus == h7.hardware.uart.clock_hz
    for name in ("stm32l4", "stm32u5", "stm32g0"):  # nothing is divided
        board = load_board(name)
        assert board.hardware.uart.clock_hz == board.clock_mhz * 1e6


def test_a_wrong_name_offers_the_nearest():
    with pytest.raises(BoardError, match="stm32h7"):
        load_board("stm32h8")
    with pytest.raises(BoardError, match=r"Known are: host, .*stm32l4"):
        load_board("xyzzy")
    with pytest.raises(BoardError, match="no board file"):
        load_board("nowhere/board.toml")


def board_file(tmp_path, old: str, new: str):
    text = (data_folder("boards") / "stm32f4.toml").read_text()
    assert old in text
    path = tmp_path / "mine.toml"
    path.write_text(text.replace('name = "stm32f4"', 'name = "mine"').replace(old, new, 1))
    return path


def test_a_path_serves_as_well(tmp_path):
    board = load_board(board_file(tmp_path, "stack_bytes = 0x1000", "stack_bytes = 0x2000"))
    assert board.name == "mine"
    assert board.banks[0].address == 0x2000_2010


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("clock_mhz = 100", "clock_mhz = -1", "clock_mhz.*positive"),
        ("clock_mhz = 100", "clock_mhz = true", "clock_mhz.*positive"),
        ("clock_mhz = 100", "clock_mhz = 100\nclok = 1", "unknown key 'clok'"),
        ('mcu = "STM32F411RET6"', "", "'mcu' is missing"),
        ('core = "cortex-m4"', 'core = "cortex-m9"', "'cortex-m9' is no core.*cortex-m"),
        ('banks = ["sram"]', 'banks = ["dram"]', "no memory 'dram'.*sram"),
        ('banks = ["sram"]', "banks = []", "at least one memory"),
        ("[tested]", "[tested]\nmoon = 'never'", "unknown key 'moon'"),
        ("size = 0x2_0000", "size = 0x2000", "nothing is left of bank 'sram'"),
        ("size = 0x2_0000", "size = 0xF000_0000", "32-bit map"),
        ("[clock]", "[boot]\ndriver = 'x'\nmemory = 'rom'\n[clock]", "no memory 'rom'"),
        ('kind = "sram"', 'kind = "cheese"', "'cheese' is no kind"),
        ('ram = "sram"', 'ram = "rams"', "no memory 'rams'"),
        ("stack_bytes = 0x1000", "stack_bytes = 100", "stack_bytes.*must be in"),
        ("stack_bytes = 0x1000", 'stack_bytes = "big"', "type int"),
        ("stack_bytes = 0x1000", "stack_bytes = 0x1001", "multiples of 32"),
        ('driver = "stm32f4"', 'driver = "../../etc"', "lower-case identifier"),
        ("pll_m = 8", 'pll_m = "8"', "32-bit numbers"),
        ("pll_m = 8", "Pll-m = 8", "lower-case identifier"),
        ("irq = 38", "irq = 1000", "irq.*must be in"),
        ("enables = [[0x4002_3830, 0],", "enables = [[0x4002_3830],", "list of pairs"),
        ('protocol = "openocd"', 'protocol = "tapes"', "'tapes' is no protocol"),
        ('engine = "unicorn"', 'engine = "steam"', "'steam' is no engine"),
        ("offset = 0x08", "offset = 0x800", "not in the peripheral"),
        ("follow = [[0, 2]", "follow = [[0, 32]", "0 to 31"),
        ('name = "sram"', 'name = "flash"', "same name"),
        ("[clock]", "[clock", "cannot be read"),
    ],
)
def test_mistakes_are_named(tmp_path, old, new, complaint):
    with pytest.raises(BoardError, match=complaint) as error:
        load_board(board_file(tmp_path, old, new))
    assert "mine.toml" in str(error.value)


def test_name_and_file_name_must_agree(tmp_path):
    path = tmp_path / "other.toml"
    path.write_text((data_folder("boards") / "stm32f4.toml").read_text())
    with pytest.raises(BoardError, match="calls itself 'stm32f4'"):
        load_board(path)
