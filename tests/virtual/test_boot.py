"""What boot ROMs want: the RP2040's second stage, run; the RP2350's image definition."""

from __future__ import annotations

import struct
import subprocess

import pytest
import unicorn as u
from unicorn import arm_const as reg

from tests.support.serial_flash import QUAD_ENABLE, SerialFlash
from tinyvision.resources import data_folder
from tinyvision.target import load_board

STAGE_BYTES = 256
WHERE_IT_RUNS = 0x20041F00
SSI, PADS_QSPI, SYSTEM = 0x18000000, 0x40020000, 0xE000E000
STACK, RESET = 0x20001000, 0x10001235


def boot_section(tmp_path, name: str, cpu: str) -> bytes:
    source = data_folder("firmware") / "platform" / "bsp" / f"boot_{name}.S"
    thing, raw = tmp_path / "boot.o", tmp_path / "boot.bin"
    subprocess.run(["arm-none-eabi-gcc", f"-mcpu={cpu}", "-c", source, "-o", thing], check=True)
    objcopy = ["arm-none-eabi-objcopy", "-O", "binary", "-j", ".boot", thing, raw]
    subprocess.run(objcopy, check=True)
    return raw.read_bytes()


def crc32_mpeg2(data: bytes) -> int:
    """RP2040 data sheet 2.8.1.3.1."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ 0x04C11DB7 if crc >> 31 else crc << 1) & 0xFFFFFFFF
    return crc


def test_the_second_stage_has_its_size_and_checksum(tmp_path):
    stage = boot_section(tmp_path, "rp2040", "cortex-m0plus")
    assert len(stage) == STAGE_BYTES
    assert int.from_bytes(stage[-4:], "little") == crc32_mpeg2(stage[:-4])


@pytest.mark.parametrize("status_2", [0, QUAD_ENABLE, 0x40 | QUAD_ENABLE])
def test_the_second_stage_starts_the_firmware(tmp_path, status_2):
    stage = boot_section(tmp_path, "rp2040", "cortex-m0plus")
    vectors = load_board("rp2040").hardware.memory("flash").address
    flash, pads, system = SerialFlash(status_2), {}, {}
    machine = u.Uc(u.UC_ARCH_ARM, u.UC_MODE_THUMB)
    machine.ctl_set_cpu_model(reg.UC_CPU_ARM_CORTEX_M0)
    machine.mem_map(0x20041000, 0x1000)
    machine.mem_write(WHERE_IT_RUNS, stage)
    machine.mem_map(vectors, 0x1000)
    machine.mem_write(vectors, struct.pack("<2I", STACK, RESET))
    machine.mmio_map(
        SSI,
        0x1000,
        lambda _, offset, __, ___: flash.read(offset),
        None,
        lambda _, offset, __, value, ___: flash.write(offset, value),
        None,
    )
    for address, registers in ((PADS_QSPI, pads), (SYSTEM, system)):
        machine.mmio_map(
            address,
            0x1000,
            None,
            None,
            lambda _, offset, __, value, into: into.__setitem__(offset, value),
            registers,
        )
    machine.reg_write(reg.UC_ARM_REG_SP, 0x20041F00)
    machine.emu_start(WHERE_IT_RUNS | 1, RESET & ~1, count=10_000)
    assert machine.reg_read(reg.UC_ARM_REG_PC) == RESET & ~1
    assert machine.reg_read(reg.UC_ARM_REG_SP) == STACK
    assert system == {0xD08: vectors}, "VTOR"
    assert flash.executes_in_place
    assert flash.status_2 & QUAD_ENABLE
    assert set(pads) == {0x04, 0x08, 0x0C, 0x10, 0x14}


def test_the_image_definition_is_one_block_in_a_loop(tmp_path):
    """RP2350 data sheet 5.9.5: the least that the boot ROM starts."""
    words = struct.unpack("<5I", boot_section(tmp_path, "rp2350", "cortex-m33"))
    assert words == (0xFFFFDED3, 0x10210142, 0x000001FF, 0, 0xAB123579)
