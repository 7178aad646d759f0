/* Follows an emulated Armv6-M to Armv8-M core from basic block to basic block: counts instructions,
 * refuses to execute what is not code, checks the addresses of accesses that must be aligned, and
 * stops the emulator on request. Called by Unicorn (UC_HOOK_BLOCK) before each block it enters.
 *
 * blocks.py and tracer.py beside this folder hold the same logic in Python, slow but equal.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { RUNNING, STOPPED, LIMIT_REACHED, NOT_CODE, UNALIGNED, FPU_DISABLED };

typedef struct {
    uint32_t address, size;
    const uint8_t *bytes;
} tv_memory;

typedef struct {
    uint32_t address, end;
} tv_range;

/* An access at `pc` is aligned if the sum of coefficient i (two bits each) times register i, plus
 * `constant`, is 0 modulo 4: with the registers on entry to the block, or after it (`at_end`). */
typedef struct {
    uint32_t pc, coefficients, constant, at_end;
} tv_check;

typedef struct {
    uint32_t address, size, instructions, first_check, checks, uses_fpu;
} tv_block;

typedef struct {
    /* Set by the host before the first block, except for `stop`, `limit` and `fpu_enabled`. */
    const tv_memory *memory;
    const tv_range *code;
    uint32_t memories, codes;
    int (*emu_stop)(void *machine);
    int (*reg_read)(void *machine, int reg, void *value);
    void (*analyse)(uint32_t address, uint32_t size);
    int32_t registers[16]; /* Unicorn's numbers of r0 to r15 */
    volatile uint32_t stop;
    uint32_t fpu_enabled;
    uint64_t limit;        /* of what `clock` points to: `instructions`, or a cycle model's time */
    const uint64_t *clock;
    /* Read by the host. */
    uint64_t instructions; /* executed, the present block's included */
    uint64_t blocks;
    uint32_t reason, reason_pc;
    tv_block current;
} tv_tracer;

typedef struct {
    tv_tracer shared;
    tv_block *table; /* open addressing; size 0 marks a free place */
    uint32_t table_size, used;
    tv_check *check;
    uint32_t checks, check_capacity;
} tracer;

tv_tracer *tv_tracer_new(void)
{
    tracer *t = calloc(1, sizeof *t);
    if (t) {
        t->shared.clock = &t->shared.instructions;
        t->table_size = 1u << 12;
        t->table = calloc(t->table_size, sizeof *t->table);
        t->check_capacity = 256;
        t->check = calloc(t->check_capacity, sizeof *t->check);
        if (!t->table || !t->check) {
            free(t->table);
            free(t->check);
            free(t);
            return NULL;
        }
    }
    return &t->shared;
}

void tv_tracer_free(tv_tracer *shared)
{
    tracer *t = (tracer *)shared;
    if (t) {
        free(t->table);
        free(t->check);
        free(t);
    }
}

/* Called back from `analyse`: the new block has one more access to check. */
void tv_tracer_add_check(tv_tracer *shared, uint32_t pc, uint32_t coefficients, uint32_t constant,
                         uint32_t at_end)
{
    tracer *t = (tracer *)shared;
    if (t->checks == t->check_capacity) {
        tv_check *larger = realloc(t->check, 2 * t->check_capacity * sizeof *larger);
        if (!larger) {
            return;
        }
        t->check = larger;
        t->check_capacity *= 2;
    }
    t->check[t->checks++] = (tv_check){pc, coefficients, constant, at_end};
}

static tv_block *place(tv_block *table, uint32_t table_size, uint32_t address, uint32_t size)
{
    uint32_t i = ((address >> 1) * 0x9E3779B1u) ^ (size * 0x85EBCA6Bu);
    for (i = (i ^ i >> 15) & (table_size - 1);; i = (i + 1) & (table_size - 1)) {
        if (!table[i].size || (table[i].address == address && table[i].size == size)) {
            return &table[i];
        }
    }
}

static int grow(tracer *t)
{
    tv_block *larger = calloc(2 * (size_t)t->table_size, sizeof *larger);
    if (!larger) {
        return 0;
    }
    for (uint32_t i = 0; i < t->table_size; i++) {
        if (t->table[i].size) {
            *place(larger, 2 * t->table_size, t->table[i].address, t->table[i].size) = t->table[i];
        }
    }
    free(t->table);
    t->table = larger;
    t->table_size *= 2;
    return 1;
}

static const uint8_t *bytes_at(const tv_tracer *t, uint32_t address, uint32_t size)
{
    for (uint32_t i = 0; i < t->memories; i++) {
        const uint32_t offset = address - t->memory[i].address;
        if (offset < t->memory[i].size && size <= t->memory[i].size - offset) {
            return t->memory[i].bytes + offset;
        }
    }
    return NULL;
}

static int is_code(const tv_tracer *t, uint32_t address, uint32_t size)
{
    for (uint32_t i = 0; i < t->codes; i++) {
        if (address >= t->code[i].address && address + size <= t->code[i].end) {
            return 1;
        }
    }
    return 0;
}

/* LDRD, STRD, LDM, STM, VLDR, VSTR, VLDM, VSTM but for those relative to SP, which is aligned. */
static int must_align(uint32_t first)
{
    if ((first & 0xF000u) == 0xC000u) {
        return 1;
    }
    return ((first & 0xFE00u) == 0xE800u || (first & 0xFE00u) == 0xEC00u) && (first & 15u) != 13u;
}

static int is_fpu(uint32_t first, uint32_t second)
{
    return (first & 0xEC00u) == 0xEC00u && ((second >> 8 & 15u) == 10u || (second >> 8 & 15u) == 11u);
}

static tv_block *learn(tracer *t, tv_block *block, uint32_t address, uint32_t size)
{
    const uint8_t *bytes = bytes_at(&t->shared, address, size);
    if (!bytes || !is_code(&t->shared, address, size)) {
        return NULL;
    }
    if (2 * t->used >= t->table_size) {
        if (!grow(t)) {
            return NULL;
        }
        block = place(t->table, t->table_size, address, size);
    }
    tv_block new = {address, size, 0, t->checks, 0, 0};
    int aligned = 0;
    for (uint32_t i = 0; i + 1 < size; new.instructions++) {
        const uint32_t first = bytes[i] | (uint32_t)bytes[i + 1] << 8;
        const int wide = first >= 0xE800u;
        aligned |= must_align(first);
        if (wide && i + 3 < size) {
            new.uses_fpu |= (uint32_t)is_fpu(first, bytes[i + 2] | (uint32_t)bytes[i + 3] << 8);
        }
        i += wide ? 4 : 2;
    }
    if (aligned) {
        t->shared.analyse(address, size);
    }
    new.checks = t->checks - new.first_check;
    t->used++;
    *block = new;
    return block;
}

static uint32_t broken_check(tracer *t, void *machine, const tv_block *block, uint32_t at_end)
{
    for (uint32_t i = 0; i < block->checks; i++) {
        const tv_check *check = &t->check[block->first_check + i];
        if (check->at_end != at_end) {
            continue;
        }
        uint32_t sum = check->constant;
        for (uint32_t reg = 0, left = check->coefficients; left; reg++, left >>= 2) {
            if (left & 3u) {
                uint32_t value = 0;
                t->shared.reg_read(machine, t->shared.registers[reg], &value);
                sum += (left & 3u) * value;
            }
        }
        if (sum & 3u) {
            return check->pc;
        }
    }
    return 0;
}

static void halt(tv_tracer *t, void *machine, uint32_t reason, uint32_t pc)
{
    t->reason = reason;
    t->reason_pc = pc;
    t->emu_stop(machine);
}

void tv_tracer_block(void *machine, uint64_t address64, uint32_t size, void *user)
{
    tracer *t = user;
    tv_tracer *s = &t->shared;
    const uint32_t address = (uint32_t)address64;
    uint32_t pc;
    if (s->current.checks && (pc = broken_check(t, machine, &s->current, 1)) != 0) {
        s->current.checks = 0;
        halt(s, machine, UNALIGNED, pc);
        return;
    }
    if (s->stop || *s->clock >= s->limit) {
        s->current.checks = 0;
        halt(s, machine, s->stop ? STOPPED : LIMIT_REACHED, address);
        return;
    }
    tv_block *block = place(t->table, t->table_size, address, size);
    if (!block->size && !(block = learn(t, block, address, size))) {
        halt(s, machine, NOT_CODE, address);
        return;
    }
    if (block->uses_fpu && !s->fpu_enabled) {
        halt(s, machine, FPU_DISABLED, address);
        return;
    }
    if (block->checks && (pc = broken_check(t, machine, block, 0)) != 0) {
        halt(s, machine, UNALIGNED, pc);
        return;
    }
    s->blocks++;
    s->instructions += block->instructions;
    s->current = *block;
}
