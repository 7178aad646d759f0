#include "tv_canary.h"

static uint8_t paint_of(const uint8_t *address)
{
    const uint32_t word = (uint32_t)((uintptr_t)address >> 2);
    const uint32_t paint = (word ^ 0x5EEDC0DEu) * 0x9E3779B1u;
    return (uint8_t)(paint >> (8u * ((uintptr_t)address & 3u)));
}

void tv_paint(uint8_t *memory, uint32_t size)
{
    for (uint32_t i = 0; i < size; i++) {
        memory[i] = paint_of(memory + i);
    }
}

uint32_t tv_painted_over(const uint8_t *memory, uint32_t size)
{
    uint32_t bytes = 0, i = 0;
    while (i < size) {
        uint32_t end = i + 4u - (uint32_t)((uintptr_t)(memory + i) & 3u);
        if (end > size) {
            end = size;
        }
        const uint32_t word_bytes = end - i;
        uint32_t changed = 0;
        for (; i < end; i++) {
            changed |= (uint32_t)(memory[i] ^ paint_of(memory + i));
        }
        bytes += changed ? word_bytes : 0u;
    }
    return bytes;
}

uint32_t tv_paint_depth(const uint8_t *memory, uint32_t size)
{
    uint32_t depth = 0;
    while (depth < size && memory[depth] == paint_of(memory + depth)) {
        depth++;
    }
    return depth & ~3u;
}
