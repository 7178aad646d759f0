/* What the memories make an instruction wait for: flash with wait states, prefetch and the small
 * caches in front of it, level-one caches, SRAM behind a bus. */
#include "engine.h"

#include <string.h>

#define EMPTY 0xFFFFFFFFu

void tv_cache_clear(tv_cache *cache)
{
    const size_t lines = (size_t)cache->shape.sets * (size_t)cache->shape.ways;
    if (lines) {
        memset(cache->line, 0xFF, lines * sizeof *cache->line);
        memset(cache->used, 0, lines * sizeof *cache->used);
        memset(cache->dirty, 0, lines);
    }
    cache->clock = 0;
}

/* True on a hit. A miss takes the place of the line used longest ago; `write_back` tells whether
 * that had been written to. */
int tv_cache_access(tv_cache *cache, uint32_t address, int write, int *write_back)
{
    const uint32_t line = address / (uint32_t)cache->shape.line_bytes;
    const int32_t ways = cache->shape.ways;
    const size_t set = (size_t)(line % (uint32_t)cache->shape.sets) * (size_t)ways;
    size_t victim = set;
    cache->clock++;
    for (size_t way = set; way < set + (size_t)ways; way++) {
        if (cache->line[way] == line) {
            cache->used[way] = cache->clock;
            cache->dirty[way] |= (uint8_t)write;
            *write_back = 0;
            return 1;
        }
        if (cache->used[way] < cache->used[victim]) {
            victim = way;
        }
    }
    *write_back = cache->dirty[victim];
    cache->line[victim] = line;
    cache->used[victim] = cache->clock;
    cache->dirty[victim] = (uint8_t)write;
    return 0;
}

/* Index of the range that holds an address, or -1: peripherals and what isn't there. */
int tv_memory_at(const tv_engine *e, uint32_t address)
{
    for (uint32_t i = 0; i < e->memories; i++) {
        if (address - e->memory[i].address < e->memory[i].size) {
            return (int)i;
        }
    }
    return -1;
}

static tv_cause miss_cause(const tv_engine *e)
{
    return e->flash.line_fill || e->unified ? CACHE_MISS : FLASH_WAIT;
}

/* The flash does one read after the other. Returns how long the core waits for one asked for now. */
static uint64_t flash_read(tv_engine *e, int32_t wait)
{
    const uint64_t start = e->cycle > e->flash_free ? e->cycle : e->flash_free;
    const uint64_t ready = start + (uint64_t)wait;
    e->flash_free = ready + 1;
    return ready - e->cycle;
}

static uint64_t fetch_wait(tv_engine *e, uint32_t line, uint32_t line_bytes)
{
    const int32_t wait = e->flash.wait_states + e->flash.fetch_extra;
    uint64_t waited;
    if (!e->flash.prefetch) {
        return flash_read(e, wait);
    }
    if (e->prefetch_line == line) {
        const uint64_t asked = e->cycle + (uint64_t)e->flash.prefetch_lead;
        waited = e->prefetch_ready > asked ? e->prefetch_ready - asked : 0;
    } else {
        waited = flash_read(e, wait);
    }
    uint64_t start = e->cycle + waited;
    start = e->flash_free > start ? e->flash_free : start;
    e->prefetch_line = line + line_bytes;
    e->prefetch_ready = start + (uint64_t)wait + 1;
    e->flash_free = e->prefetch_ready;
    return waited;
}

/* Waits until an instruction has been fetched. */
void tv_fetch(tv_engine *e, const tv_microop *op)
{
    const int cached = e->fetch_cache.shape.ways != 0;
    const uint32_t line_bytes =
        (uint32_t)(cached ? e->fetch_cache.shape.line_bytes : e->flash.line_bytes);
    const uint32_t line = (op->address + op->size - 1u) & ~(line_bytes - 1u);
    if (line == e->fetch_line) {
        return;
    }
    e->fetch_line = line;
    const int memory = tv_memory_at(e, line);
    if (memory < 0 || e->memory[memory].kind != FLASH) {
        return;
    }
    int write_back;
    if (cached ? tv_cache_access(&e->fetch_cache, line, 0, &write_back)
               : e->flash.wait_states == 0) {
        return;
    }
    const uint64_t waited =
        e->flash.line_fill ? (uint64_t)e->flash.line_fill : fetch_wait(e, line, line_bytes);
    e->cycle += waited;
    tv_stall(e, miss_cause(e), waited);
}

static uint64_t read_flash(tv_engine *e, uint32_t address)
{
    tv_cache *cache = e->unified ? &e->fetch_cache : &e->data_cache;
    int write_back = 0;
    if (cache->shape.ways && tv_cache_access(cache, address, 0, &write_back)) {
        return 0;
    }
    if (e->flash.line_fill) {
        uint64_t before = write_back ? (uint64_t)e->flash.write_back : 0;
        if (e->flash.line_busy) {
            before += e->flash_free > e->cycle ? e->flash_free - e->cycle : 0;
            e->flash_free = e->cycle + before + (uint64_t)e->flash.line_busy;
        }
        return before + (uint64_t)e->flash.line_fill;
    }
    const uint32_t line_bytes =
        (uint32_t)(cache->shape.ways ? cache->shape.line_bytes : e->flash.line_bytes);
    const uint32_t line = address & ~(line_bytes - 1u), last = e->data_line;
    e->data_line = line;
    if (e->flash.data_buffer && line == last) {
        return 0;
    }
    if (e->flash.data_next && line == last + line_bytes) {
        return (uint64_t)e->flash.data_next;
    }
    return flash_read(e, e->flash.wait_states) + (uint64_t)e->flash.data_extra;
}

static uint64_t read_cached(tv_engine *e, const tv_memory_timing *m, uint32_t address, int write)
{
    int write_back;
    if (tv_cache_access(&e->data_cache, address, write, &write_back)) {
        return 0;
    }
    return (uint64_t)((write ? m->write : m->read) + (write_back ? e->flash.write_back : 0));
}

/* Cycles that a read of the data bus takes longer than the fastest. */
int tv_read(tv_engine *e, uint32_t address)
{
    const int memory = tv_memory_at(e, address);
    if (memory < 0) {
        return 0;
    }
    const tv_memory_timing *m = &e->memory[memory];
    uint64_t waited;
    switch (m->kind) {
    case FLASH:
        waited = read_flash(e, address);
        tv_stall(e, miss_cause(e), waited);
        break;
    case CACHED:
        waited = read_cached(e, m, address, 0);
        tv_stall(e, CACHE_MISS, waited);
        break;
    default:
        waited = (uint64_t)m->read;
        tv_stall(e, OTHER, waited);
    }
    return (int)waited;
}

/* The same for a write. Flash takes none. */
int tv_write(tv_engine *e, uint32_t address)
{
    const int memory = tv_memory_at(e, address);
    if (memory < 0 || e->memory[memory].kind == FLASH) {
        return 0;
    }
    const tv_memory_timing *m = &e->memory[memory];
    if (m->kind == CACHED) {
        const uint64_t waited = read_cached(e, m, address, 1);
        tv_stall(e, CACHE_MISS, waited);
        return (int)waited;
    }
    tv_stall(e, OTHER, (uint64_t)m->write);
    return m->write;
}

int tv_read_all(tv_engine *e, const tv_step *s)
{
    int waited = 0;
    for (uint32_t i = 0; i < s->op->transfers; i++) {
        waited += tv_read(e, s->address + i * s->op->width);
    }
    return waited;
}

int tv_write_all(tv_engine *e, const tv_step *s)
{
    int waited = 0;
    for (uint32_t i = 0; i < s->op->transfers; i++) {
        waited += tv_write(e, s->address + i * s->op->width);
    }
    return waited;
}
