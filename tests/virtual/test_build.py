"""The firmware of every board: built by PlatformIO, looked into, booted on the board's twin."""

from __future__ import annotations

import logging
import re
import struct
import subprocess
import sys

import pytest
from elftools.elf.elffile import ELFFile

from tests.support import fake_model
from tinyvision.device.link import FaultReport, Link, Rejected
from tinyvision.device.protocol import Command, Fault, Identity, Memory, SelfTest, Status
from tinyvision.device.virtual import open_board
from tinyvision.errors import DeviceError, FitError, ToolError
from tinyvision.firmware import build, pio, write_project
from tinyvision.firmware.stack import frames
from tinyvision.target import board_names, load_board

BOARDS = [name for name in board_names() if load_board(name).hardware]
ALLOWED_LIBC = {"memcpy", "memset", "memmove", "memcpy-armv7m", "memcpy-stub", "aeabi_memcpy"}


def write(path, board, **options):
    library = fake_model.library(board, **options)
    return write_project(path, board, fake_model.NAME, library, fake_model.banks(board), "A fake")


@pytest.fixture(scope="session")
def built(private_platformio, tmp_path_factory):
    """``built(name)``: board, build result and all that PlatformIO printed, once a session."""
    made = {}

    def get(name):
        if name not in made:
            lines = []
            handler = logging.Handler()
            handler.emit = lambda record: lines.append(record.getMessage())
            log = logging.getLogger(pio.__name__)
            log.addHandler(handler)
            log.setLevel(logging.DEBUG)
            try:
                board = load_board(name)
                result = build(write(tmp_path_factory.mktemp(name) / "firmware", board))
            finally:
                log.removeHandler(handler)
            made[name] = (board, result, "\n".join(lines))
        return made[name]

    return get


def sections(elf):
    with elf.open("rb") as file:
        return {
            s.name: (
                s["sh_addr"],
                s["sh_size"],
                s.data() if s["sh_type"] == "SHT_PROGBITS" else b"",
            )
            for s in ELFFile(file).iter_sections()
            if s["sh_flags"] & 2
        }


def symbols(elf):
    with elf.open("rb") as file:
        table = ELFFile(file).get_section_by_name(".symtab")
        return {s.name: s for s in table.iter_symbols()}


@pytest.mark.parametrize("name", BOARDS)
def test_it_compiles_without_a_warning(built, name):
    _, result, output = built(name)
    assert "warning" not in output.lower()
    assert result.elf.is_file()
    assert result.bin.is_file()


@pytest.mark.parametrize("name", BOARDS)
def test_vector_table(built, name):
    board, result, _ = built(name)
    hardware = board.hardware
    address, size, data = sections(result.elf)[".vectors"]
    named = symbols(result.elf)
    assert address == hardware.memory(hardware.layout.vectors).address
    assert size == 4 * (16 + hardware.interrupts)
    stack, reset, *handlers = struct.unpack(f"<{size // 4}I", data)
    ram = hardware.memory(hardware.layout.ram)
    assert stack == ram.address + hardware.layout.stack_bytes
    assert stack % 8 == 0
    assert reset == named["bsp_reset"]["st_value"]
    code = hardware.memory(hardware.layout.code)
    for handler in (reset, *handlers):
        assert handler & 1, "not a Thumb address"
        assert code.address <= handler < code.end


@pytest.mark.parametrize("name", [n for n in BOARDS if load_board(n).hardware.boot])
def test_the_boot_rom_finds_what_it_wants(built, name):
    """The second stage at the very start, the image definition within the first 4 KB."""
    board, result, _ = built(name)
    start = min(m.address for m in board.hardware.memories if m.kind == "flash")
    address, size, _ = sections(result.elf)[".boot"]
    if board.hardware.boot.memory == board.hardware.layout.vectors:
        assert start < address and address + size <= start + 4096
    else:
        assert address == start


@pytest.mark.parametrize("name", BOARDS)
def test_sections_lie_in_their_memories(built, name):
    board, result, _ = built(name)
    hardware = board.hardware
    for section, (address, size, _) in sections(result.elf).items():
        assert any(m.address <= address and address + size <= m.end for m in hardware.memories), (
            section
        )
    named = symbols(result.elf)
    first = board.banks[0]
    assert named[f"bank_{first.name}"]["st_value"] + 16 == first.address


@pytest.mark.parametrize("name", BOARDS)
def test_nothing_of_libc_but_copying(built, name):
    _, result, _ = built(name)
    used = (result.elf.parent / "firmware.map").read_text().split("Discarded input sections")[0]
    members = set(re.findall(r"libc\.a\((?:lib_a|libc_a)-([\w-]+)\.o\)", used))
    assert members <= ALLOWED_LIBC
    assert not {"malloc", "_sbrk", "printf", "__aeabi_dadd", "__aeabi_fadd"} & set(
        symbols(result.elf)
    )


@pytest.mark.parametrize("name", BOARDS)
def test_sizes_and_stack(built, name):
    board, result, _ = built(name)
    sizes = result.sizes
    binary = result.bin.stat().st_size
    layout, boot = board.hardware.layout, board.hardware.boot
    if {layout.vectors, boot.memory if boot else layout.code} == {layout.code}:
        assert 0 <= binary - sizes.flash_total_bytes < 64, "alignment at most"
    assert sizes.bss_bytes > board.hardware.layout.stack_bytes + fake_model.BANK0_BYTES
    # Layer 1 keeps 100 bytes in a function that it calls through a pointer.
    assert 100 <= result.stack_bytes < result.firmware_stack_bytes
    assert result.firmware_stack_bytes <= board.hardware.layout.stack_bytes


@pytest.mark.parametrize("name", BOARDS)
def test_it_boots_answers_and_computes(built, name):
    board, result, _ = built(name)
    with open_board(result.elf, board) as twin, Link(twin.port) as link:
        identity = link.identify(within_seconds=20)
        assert isinstance(identity, Identity)
        assert (identity.board, identity.model) == (name, "fake")
        assert identity.clock_hz == board.clock_mhz * 1e6
        assert identity.has_cycle_counter
        assert SelfTest.parse(link.request(Command.SELF_TEST)).passed
        first, second = bytes(range(48)), bytes(range(100, 116))
        link.request(Command.PAINT)
        link.request(Command.WRITE_INPUT, struct.pack("<BI", 0, 0) + first)
        floats = [(byte - fake_model.ZERO_POINT) * fake_model.SCALE for byte in second]
        link.request(Command.WRITE_INPUT, struct.pack("<BI16f", 1, 0, *floats))
        cycles = struct.unpack("<3I", link.request(Command.PROFILE, struct.pack("<HH", 0, 3)))
        assert all(0 < count < 100_000 for count in cycles)
        sums, negatives = fake_model.outputs(first, second)
        assert link.request(Command.READ_OUTPUT, struct.pack("<BIH", 0, 0, 48)) == sums
        shifted = bytes(byte ^ 0x80 for byte in negatives)
        assert link.request(Command.READ_OUTPUT, struct.pack("<BIH", 1, 0, 16)) == shifted
        memory = Memory.parse(link.request(Command.MEMORY))
        assert not memory.damaged_guards
        assert memory.banks[0].touched_bytes == 128
        assert len(memory.banks) == len(board.banks)
        assert 0 < memory.stack_peak_bytes <= result.firmware_stack_bytes
        with pytest.raises(Rejected):
            link.request(Command.RUN, struct.pack("<HH", 0, 4))


@pytest.mark.parametrize("name", ["stm32h7", "stm32f4", "stm32u5", "stm32g0", "qemu-m55"])
def test_a_fault_is_reported_with_its_layer(private_platformio, tmp_path, name):
    board = load_board(name)
    result = build(write(tmp_path / "p", board, fault_in_layer=1))
    with open_board(result.elf, board) as twin, Link(twin.port) as link:
        link.identify(within_seconds=20)
        link.request(Command.RUN, struct.pack("<HH", 0, 1))
        with pytest.raises(FaultReport) as error:
            link.request(Command.RUN, struct.pack("<HH", 0, 3), attempts=1)
        fault = error.value.fault
        assert fault.layer == 1
        assert fault.kind in (3, 5), "HardFault or BusFault"
        layer = symbols(result.elf)["layer"]
        start = layer["st_value"] & ~1
        assert start <= fault.pc < start + layer["st_size"]
        restart = link.request(Command.FAULT, b"\1")
        assert Fault.parse(restart) == fault
        link.identify(within_seconds=20)
        assert Fault.parse(link.request(Command.FAULT)).kind == 0, "it has started over"


def overflowing(path, board, when):
    """A firmware that recurses without end before or after the agent's start."""
    project = write(path, board)
    main = project.path / "src/main.c"
    code = (
        "static __attribute__((noinline)) int deep(volatile int n)\n"
        "{ volatile int room[20]; room[n % 20] = n; return deep(n + 1) + room[n % 20]; }\n"
    )
    text = main.read_text().replace("int main(void)", code + "int main(void)")
    init = "tv_agent_init(&app);"
    calls = ("(void)deep(0);", init) if when == "before" else (init, "(void)deep(0);")
    main.write_text(text.replace(init, " ".join(calls)))
    return build(project)


@pytest.mark.parametrize(
    ("name", "when"),
    [
        ("stm32h7", "after"),
        ("stm32f4", "before"),
        ("stm32f4", "after"),
        ("stm32u5", "after"),
        ("qemu-m55", "before"),
        ("qemu-m55", "after"),
    ],
)
def test_a_stack_that_overflows_faults(private_platformio, tmp_path, name, when):
    """It runs out of the memory's low end; nothing is overwritten, and the agent still answers."""
    board = load_board(name)
    result = overflowing(tmp_path / "p", board, when)
    with open_board(result.elf, board) as twin, Link(twin.port) as link:
        with pytest.raises(FaultReport) as error:
            link.identify(within_seconds=20)
        assert error.value.fault.kind in (3, 5, 6), "HardFault, BusFault or UsageFault"
        assert error.value.fault.layer is None


def test_a_stack_that_overflows_stops_a_core_with_one_fault(private_platformio, tmp_path):
    """Armv6-M has HardFault alone, which needs the stack itself: the core locks up."""
    board = load_board("stm32g0")
    result = overflowing(tmp_path / "p", board, "after")
    with (
        open_board(result.elf, board) as twin,
        Link(twin.port, witness=twin.problem) as link,
        pytest.raises(DeviceError, match=r"memory that is not there .*deep"),
    ):
        link.identify(within_seconds=20)


def test_a_second_build_is_quick_and_compiles_what_changed(private_platformio, tmp_path):
    board = load_board("stm32f4")
    path = tmp_path / "p"
    first = build(write(path, board))
    steps = []
    again = build(write(path, board), steps.append)
    assert not [step for step in steps if step.startswith("Compiling")]
    assert again.sizes == first.sizes
    library = fake_model.library(board)
    library["src/tv_fake.c"] += "/* changed */\n"
    write_project(path, board, "fake", library, fake_model.banks(board), "A fake")
    steps.clear()
    build(path, steps.append)
    compiled = [step for step in steps if step.startswith("Compiling")]
    assert len(compiled) == 1
    assert "tv_fake" in compiled[0]


def test_plain_pio_run_in_a_folder_with_an_awkward_name(private_platformio, tmp_path):
    path = tmp_path / "my böard (1)"
    project = write(path, load_board("stm32l4"))
    (path / "test").mkdir()  # a folder that makes PlatformIO look for Unity in its registry
    done = subprocess.run(
        [sys.executable, "-m", "platformio", "run"],
        cwd=path,
        env=pio.environment(),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert project.elf.is_file()


def test_a_compile_error_is_told(private_platformio, tmp_path):
    project = write(tmp_path / "p", load_board("stm32f4"))
    main = project.path / "src/main.c"
    main.write_text(main.read_text() + "int broken(void) { return nonsense; }\n")
    with pytest.raises(ToolError, match="'nonsense' undeclared"):
        build(project)


def test_a_failed_build_leaves_no_old_firmware_to_flash(private_platformio, tmp_path):
    project = write(tmp_path / "p", load_board("stm32f4"))
    build(project)
    assert project.elf.is_file() and project.bin.is_file()
    main = project.path / "src/main.c"
    main.write_text(main.read_text() + "nonsense\n")
    with pytest.raises(ToolError):
        build(project)
    assert not project.elf.exists() and not project.bin.exists()


def test_what_does_not_fit_is_told(private_platformio, tmp_path):
    project = write(tmp_path / "p", load_board("stm32f4"))
    main = project.path / "src/main.c"
    text = main.read_text().replace("int main(void)", "volatile char big[150000];\nint main(void)")
    main.write_text(text.replace("tv_agent_init(&app);", "big[9] = 1; tv_agent_init(&app);"))
    with pytest.raises(FitError, match=r"memory 'sram' is [\d,]+ bytes too small"):
        build(project)


def test_too_little_stack_is_refused(private_platformio, tmp_path):
    project = write(tmp_path / "p", load_board("stm32f4"))
    main = project.path / "src/main.c"
    deep = (
        "static __attribute__((noinline)) int deep(int n)\n"
        "{ volatile char room[5000]; room[n] = 1; return room[n / 2]; }\n"
    )
    text = main.read_text().replace("int main(void)", deep + "int main(void)")
    main.write_text(text.replace("tv_agent_init(&app);", "tv_agent_init(&app); (void)deep(3);"))
    with pytest.raises(FitError, match=r"stack may overflow.*in the worst case, 4,096 are"):
        build(project)


def test_code_of_the_user_may_recurse(private_platformio, tmp_path):
    project = write(tmp_path / "p", load_board("stm32f4"))
    main = project.path / "src/main.c"
    code = (
        "static __attribute__((noinline)) int depth(volatile int *n)\n"
        "{ return *n > 3 ? depth(n + *n) + depth(n + 1) : *n; }\n"
    )
    text = main.read_text().replace("int main(void)", code + "int main(void)")
    call = "static volatile int numbers[9]; (void)depth(numbers); tv_agent_init(&app);"
    main.write_text(text.replace("tv_agent_init(&app);", call))
    result = build(project)
    assert result.firmware_stack_bytes is None
    assert result.stack_bytes >= 100


@pytest.mark.parametrize("name", ["stm32h7", "stm32f4", "qemu-m55"])
def test_frames_agree_with_the_compiler(built, name, tmp_path):
    """-fstack-usage tells the frame of every function; the analysis must find the same."""
    board, result, _ = built(name)
    project = result.project.path
    core = [f"-mcpu={board.core.cpu}", "-mthumb", "-mfloat-abi=hard", f"-mfpu={board.core.fpu}"]
    library = project / "lib"
    compiler = ["arm-none-eabi-gcc", *core, "-O2", "-g", "-std=c99", "-fstack-usage"]
    compiler += [f"-I{library / name / 'include'}" for name in ("tinyvision_agent", "fake")]
    for source in sorted((library / "tinyvision_agent" / "src").glob("*.c")):
        subprocess.run([*compiler, "-c", source], cwd=tmp_path, check=True)
    told = {}
    for listing in tmp_path.glob("*.su"):
        for line in listing.read_text().splitlines():
            where, size, kind = line.split("\t")
            assert kind == "static"
            told[where.rpartition(":")[2]] = int(size)
    found = frames(result.elf)
    common = set(told) & set(found)
    assert {"tv_agent_receive", "tv_crc32", "tv_send"} <= common
    assert {f: found[f] for f in common} == {f: told[f] for f in common}


def test_frames_of_assembly(tmp_path):
    """The compiler says nothing of what a naked function pushes."""
    source, elf = tmp_path / "naked.c", tmp_path / "naked.elf"
    source.write_text(
        "__attribute__((naked)) void naked(void) {\n"
        '    __asm__("push {r4-r7, lr}\\nsub sp, #24\\nadd sp, #24\\npop {r4-r7, pc}");\n'
        "}\n"
        "void caller(void) { naked(); naked(); }\n"
    )
    options = ["-mcpu=cortex-m4", "-mthumb", "-g", "-O2", "-nostdlib", "-Wl,-ecaller"]
    subprocess.run(["arm-none-eabi-gcc", *options, source, "-o", elf], check=True)
    assert frames(elf) == {"naked": 5 * 4 + 24, "caller": 8}


def test_a_missing_compiler_is_told_at_once(private_platformio, tmp_path, monkeypatch):
    project = write(tmp_path / "p", load_board("stm32f4"))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(pio, "REGISTRY", ("127.0.0.1", 9))
    with pytest.raises(ToolError, match=r"arm-none-eabi-gcc.*apt install gcc-arm-none-eabi"):
        build(project)


def test_status_names_match_the_protocol():
    assert [status.value for status in Status] == list(range(7))
