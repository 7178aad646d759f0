/* The engine's frame: instructions and their costs, events from the emulator, and the host's calls.
 * Python (tinyvision/cycles/native_engine.py) owns the engine through these functions.
 */
#include "engine.h"

#include <stdlib.h>
#include <string.h>

#define NONE 0xFFFFFFFFu
#define LONGEST_IT 16u /* bytes of the four instructions after an IT */

#ifndef TV_NATIVE_SOURCES
#define TV_NATIVE_SOURCES ""
#endif

/* Which sources this was built from, see tinyvision/native/__init__.py. */
const char *tv_native_sources(void)
{
    return TV_NATIVE_SOURCES;
}

void tv_engine_free(tv_engine *e)
{
    if (e) {
        tv_cache *caches[] = {&e->fetch_cache, &e->data_cache};
        for (int i = 0; i < 2; i++) {
            free(caches[i]->line);
            free(caches[i]->used);
            free(caches[i]->dirty);
        }
        free(e->op);
        free(e->cost);
        free(e->table);
        free(e);
    }
}

tv_engine *tv_engine_new(void)
{
    tv_engine *e = calloc(1, sizeof *e);
    if (!e) {
        return NULL;
    }
    e->op_capacity = 1u << 12;
    e->table_size = 1u << 14;
    e->op = calloc(e->op_capacity, sizeof *e->op);
    e->cost = calloc(e->op_capacity, sizeof *e->cost);
    e->table = calloc(e->table_size, sizeof *e->table);
    if (!e->op || !e->cost || !e->table) {
        tv_engine_free(e);
        return NULL;
    }
    return e;
}

static int allocate(tv_cache *cache, const tv_cache_shape *shape)
{
    const size_t lines = (size_t)shape->sets * (size_t)shape->ways;
    cache->shape = *shape;
    if (!lines) {
        return 1;
    }
    cache->line = calloc(lines, sizeof *cache->line);
    cache->used = calloc(lines, sizeof *cache->used);
    cache->dirty = calloc(lines, sizeof *cache->dirty);
    return cache->line && cache->used && cache->dirty;
}

/* Empties caches, buffers and predictors, as after power-on. Counters stay. */
void tv_engine_clear(tv_engine *e)
{
    tv_cache_clear(&e->fetch_cache);
    tv_cache_clear(&e->data_cache);
    e->flash_free = e->prefetch_ready = 0;
    e->prefetch_line = e->fetch_line = e->data_line = NONE;
    memset(e->ready, 0, sizeof e->ready);
    memset(e->ready_special, 0, sizeof e->ready_special);
    memset(e->late, 0, sizeof e->late);
    memset(e->early, 0, sizeof e->early);
    memset(e->accumulate, 0, sizeof e->accumulate);
    memset(e->multiplicand, 0, sizeof e->multiplicand);
    memset(e->store, 0, sizeof e->store);
    memset(e->vector_free, 0, sizeof e->vector_free);
    memset(e->direction, 2, sizeof e->direction);
    memset(e->target, 0, sizeof e->target);
    e->from_load = e->previous_results = 0;
    e->fpu_free = e->flags_set = e->mac_end = 0;
    e->previous_flags = e->unaligned_wide = 0;
    e->previous_memory = -1;
    e->slot = e->group = 0;
    e->group_bank = 2;
}

/* Once, before anything else. True if there was memory enough. */
int tv_engine_configure(tv_engine *e, const tv_core *core, const tv_flash *flash,
                        const tv_cache_shape *fetch, const tv_cache_shape *data, uint32_t unified,
                        const tv_memory_timing *memory, uint32_t memories)
{
    e->core = *core;
    e->flash = *flash;
    e->unified = unified;
    e->memories = memories;
    memcpy(e->memory, memory, memories * sizeof *memory);
    const int done = allocate(&e->fetch_cache, fetch) && allocate(&e->data_cache, data);
    if (done) {
        tv_engine_clear(e);
    }
    return done;
}

/* ---- instructions ------------------------------------------------------------------------ */

static uint64_t place(const uint32_t *table, uint64_t size, const tv_microop *op, uint32_t address)
{
    uint64_t i = (address >> 1) * 0x9E3779B1u;
    for (i = (i ^ i >> 15) & (size - 1); table[i]; i = (i + 1) & (size - 1)) {
        if (op[table[i] - 1].address == address) {
            break;
        }
    }
    return i;
}

static int grow(tv_engine *e)
{
    tv_microop *op = realloc(e->op, 2 * e->op_capacity * sizeof *op);
    if (!op) {
        return 0;
    }
    e->op = op;
    tv_cost *cost = realloc(e->cost, 2 * e->op_capacity * sizeof *cost);
    uint32_t *table = calloc(2 * e->table_size, sizeof *table);
    if (cost) {
        e->cost = cost;
        memset(cost + e->op_capacity, 0, e->op_capacity * sizeof *cost);
    }
    if (!cost || !table) {
        free(table);
        return 0;
    }
    e->op_capacity *= 2;
    for (uint64_t i = 0; i < e->ops; i++) {
        table[place(table, 2 * e->table_size, e->op, e->op[i].address)] = (uint32_t)i + 1;
    }
    free(e->table);
    e->table = table;
    e->table_size *= 2;
    return 1;
}

/* Makes an instruction known; one at an address that is known already changes nothing. */
int tv_engine_add(tv_engine *e, const tv_microop *op)
{
    if (e->ops == e->op_capacity && !grow(e)) {
        return 0;
    }
    const uint64_t i = place(e->table, e->table_size, e->op, op->address);
    if (!e->table[i]) {
        e->op[e->ops] = *op;
        e->table[i] = (uint32_t)++e->ops;
    }
    return 1;
}

/* Number of the instruction at an address, or -1. Asks the host to decode what is new. `guess`: a
 * number that is right as a rule. */
static int64_t find(tv_engine *e, uint64_t guess, uint32_t address)
{
    if (guess < e->ops && e->op[guess].address == address) {
        return (int64_t)guess;
    }
    uint64_t i = place(e->table, e->table_size, e->op, address);
    if (!e->table[i] && e->decode) {
        e->decode(address);
        i = place(e->table, e->table_size, e->op, address);
    }
    return (int64_t)e->table[i] - 1;
}

static int is_store(const tv_microop *op)
{
    return op->kind == STORE || op->kind == STORE_MULTIPLE || op->kind == STORE_DOUBLE ||
           op->kind == FP_STORE || op->kind == FP_STORE_MULTIPLE || op->kind == VECTOR_STORE;
}

static void play(tv_engine *e, uint64_t number, uint32_t address, int executed, uint32_t next,
                 int next_wide)
{
    const tv_step step = {&e->op[number], address, next, (uint8_t)executed, (uint8_t)next_wide};
    if (e->watch && executed && step.op->transfers &&
        address - e->watch_address < e->watch_bytes) {
        e->watch(step.op->address, address, (uint32_t)step.op->transfers * step.op->width,
                 (uint32_t)is_store(step.op));
    }
    const uint64_t before = e->cycle;
    e->account = &e->cost[number];
    switch ((tv_pipeline)e->core.pipeline) {
    case CORTEX_M0:
        tv_play_m0(e, &step);
        break;
    case CORTEX_M3:
        tv_play_m3(e, &step);
        break;
    case CORTEX_M7:
        tv_play_m7(e, &step);
        break;
    case CORTEX_M33:
        tv_play_m33(e, &step);
        break;
    case CORTEX_M55:
        tv_play_m55(e, &step);
        break;
    }
    e->account->executions++;
    e->account->cycles += e->cycle - before;
    e->total.executions++;
    e->total.cycles += e->cycle - before;
}

/* Plays one instruction, for tests and for whoever has a trace. False if it is not known. */
int tv_engine_play(tv_engine *e, uint32_t address, uint32_t access, int executed, uint32_t next,
                   int next_wide)
{
    const int64_t number = find(e, 0, address);
    if (number < 0) {
        return 0;
    }
    play(e, (uint64_t)number, access, executed, next, next_wide);
    return 1;
}

/* ---- events ------------------------------------------------------------------------------ */

static int is_branch(const tv_microop *op)
{
    return op->kind >= BRANCH && op->kind <= LOOP_END;
}

/* Plays the instruction that has begun, now that it is known what follows it. The emulator does not
 * tell of instructions in an IT block whose condition fails: they are what lies between. */
static void finish(tv_engine *e, uint32_t next)
{
    uint64_t number = e->pending - 1;
    uint32_t access = e->pending_address;
    int executed = 1;
    e->pending = 0;
    for (;;) {
        const tv_microop *op = &e->op[number];
        const uint32_t end = op->address + op->size;
        const int skips = !(executed && is_branch(op)) && next != end && next - end < LONGEST_IT;
        const int64_t after = find(e, number + 1, skips ? end : next);
        const int wide = after >= 0 && e->op[after].size == 4;
        play(e, number, access, executed, skips ? end : next, wide);
        if (!skips || after < 0) {
            return;
        }
        number = (uint64_t)after;
        access = 0;
        executed = 0;
    }
}

static uint32_t first_access(const tv_engine *e, void *machine, const tv_microop *op)
{
    uint32_t address = (uint32_t)op->offset, value = 0;
    if (op->base != NO_REGISTER) {
        e->reg_read(machine, e->registers[op->base], &value);
        address += value;
    }
    if (op->index != NO_REGISTER) {
        e->reg_read(machine, e->registers[op->index], &value);
        address += value << op->shift;
    }
    return address;
}

/* Called by the emulator before each instruction that it executes (UC_HOOK_CODE). */
void tv_engine_instruction(void *machine, uint64_t address, uint32_t size, void *user)
{
    tv_engine *e = user;
    const int64_t number = find(e, e->pending, (uint32_t)address);
    (void)size;
    if (e->pending) {
        finish(e, (uint32_t)address);
    }
    if (number >= 0) {
        const tv_microop *op = &e->op[number];
        e->pending = (uint64_t)number + 1;
        e->pending_address = op->transfers ? first_access(e, machine, op) : 0;
    }
}

/* The instruction that has begun is followed by the one at `next`, an exception's first maybe. */
void tv_engine_finish(tv_engine *e, uint32_t next)
{
    if (e->pending) {
        finish(e, next);
    }
}

/* Forgets what the instructions have cost so far; the total stays. */
void tv_engine_clear_costs(tv_engine *e)
{
    memset(e->cost, 0, e->ops * sizeof *e->cost);
}
