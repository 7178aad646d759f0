"""A small network written by hand in C: for tests of the firmware that need no code generator.

Two inputs (int8; float32 outside, int8 within), three layers, two outputs (int8; uint8 outside), in
as many banks as the board has. ``layer 1`` calls through a pointer, to give the stack analysis one.
"""

from __future__ import annotations

import zlib

from tinyvision.resources import data_folder
from tinyvision.schedule.plan import BankUse
from tinyvision.target.board import Board

NAME = "fake"
INPUT0_BYTES = 48
INPUT1_BYTES = 16
OUTPUT0_BYTES = 48
OUTPUT1_BYTES = 16
SCALE, ZERO_POINT = 0.5, 3
SEED = 0x12345678
HASH = bytes(range(16))
BANK0_BYTES = 1200
"""128 of them are used; the rest makes answers longer than a block of the stuffing."""
LAYERS = ("copy", "mix", "negate")


def outputs(input0: bytes, input1: bytes) -> tuple[bytes, bytes]:
    """What the network computes, on the bytes in memory."""
    mixed = bytes((byte + input1[i % INPUT1_BYTES]) & 0xFF for i, byte in enumerate(input0))
    return mixed, bytes(-byte & 0xFF for byte in input1)


def known_answer() -> int:
    """The CRC of the outputs for the inputs that the seed generates."""
    state, data = SEED, bytearray()
    for _ in range(INPUT0_BYTES + INPUT1_BYTES):
        state ^= state << 13 & 0xFFFFFFFF
        state ^= state >> 17
        state ^= state << 5 & 0xFFFFFFFF
        data.append(state >> 24)
    return zlib.crc32(b"".join(outputs(bytes(data[:INPUT0_BYTES]), bytes(data[INPUT0_BYTES:]))))


def banks(board: Board) -> list[BankUse]:
    """What the plan would say: everything in the first bank."""
    used = [BANK0_BYTES] + [0] * (len(board.banks) - 1)
    return [BankUse(b.name, n, b.size_bytes) for b, n in zip(board.banks, used, strict=True)]


def library(board: Board, fault_in_layer: int | None = None) -> dict[str, str]:
    """The files of ``lib/fake``. ``fault_in_layer``: that one writes to address 0xFFFFFFF0."""
    runtime = (data_folder("codegen_templates") / "tv_runtime.h.j2").read_text(encoding="utf-8")
    sizes = "".join(
        f"#define TV_FAKE_BANK{i}_BYTES {bank.used_bytes}u\n" for i, bank in enumerate(banks(board))
    )
    header = HEADER.replace("@SIZES@", sizes)
    source = SOURCE.replace("@CRC@", f"0x{known_answer():08X}u")
    source = source.replace("@BANKS@", str(len(board.banks)))
    source = source.replace("@HASH@", ", ".join(str(byte) for byte in HASH))
    source = source.replace(
        "@SIZE_LIST@", ", ".join(f"TV_FAKE_BANK{i}_BYTES" for i in range(len(board.banks)))
    )
    source = source.replace("@FAULT@", str(-1 if fault_in_layer is None else fault_in_layer))
    return {
        "include/tv_runtime.h": runtime,
        "include/tv_fake.h": header,
        "src/tv_fake.c": source,
        "library.json": '{"name": "fake", "version": "1.0.0", "build": {"srcDir": "src"}}\n',
    }


HEADER = """\
#ifndef TV_FAKE_H
#define TV_FAKE_H
#include "tv_runtime.h"
@SIZES@
extern const tv_model_t tv_fake;
#endif
"""

SOURCE = """\
#include "tv_fake.h"

enum { IN0 = 0, IN1 = 48, OUT0 = 64, OUT1 = 112, N0 = 48, N1 = 16, FAULT_LAYER = @FAULT@ };

static const tv_tensor_t inputs[] = {
    {"first", 0, TV_INT8, TV_INT8, 4, {1, 4, 4, 3}, IN0, N0, 0.5f, 3},
    {"second", 0, TV_INT8, TV_FLOAT32, 2, {1, 16}, IN1, N1, 0.5f, 3},
};
static const tv_tensor_t outputs[] = {
    {"sum", 0, TV_INT8, TV_INT8, 4, {1, 4, 4, 3}, OUT0, N0, 0.5f, 3},
    {"negative", 0, TV_INT8, TV_UINT8, 2, {1, 16}, OUT1, N1, 0.5f, 3},
};
static const uint32_t bank_bytes[] = {@SIZE_LIST@};
static const char *const layer_names[] = {"copy", "mix", "negate"};

static uint8_t sum(uint8_t a, uint8_t b)
{
    volatile uint8_t room[100];
    room[a % 100u] = b;
    return (uint8_t)(a + room[a % 100u]);
}

static uint8_t (*const functions[])(uint8_t, uint8_t) = {sum};

static void layer(uint8_t *const bank[], uint32_t index)
{
    uint8_t *const memory = bank[0];
    if ((int)index == FAULT_LAYER) {
        *(volatile uint32_t *)(uintptr_t)0xFFFFFFF0u = 1;
    }
    switch (index) {
    case 0:
        memcpy(memory + OUT0, memory + IN0, N0);
        break;
    case 1:
        for (uint32_t i = 0; i < N0; i++) {
            memory[OUT0 + i] = functions[index - 1](memory[OUT0 + i], memory[IN1 + i % N1]);
        }
        break;
    default:
        for (uint32_t i = 0; i < N1; i++) {
            memory[OUT1 + i] = (uint8_t)-memory[IN1 + i];
        }
        break;
    }
}

const tv_model_t tv_fake = {
    "fake", {@HASH@}, 3, 2, 2, @BANKS@, inputs, outputs, bank_bytes, layer, layer_names,
    0x12345678u, @CRC@, 0,
};
"""
