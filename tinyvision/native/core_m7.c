/* Cortex-M7: in order, up to two instructions a cycle; an early and a late ALU, a multiplier behind
 * them, branch prediction, two banks of data memory. */
#include "engine.h"

/* What an instruction is when it looks for a partner. */
enum {
    MULTIPLIES = 1,
    STORES = 2,
    LOADS = 4,
    BITS = 8,      /* bit fields and SIMD: first of a pair only */
    SHIFTS = 16,   /* uses the shifter of the early ALU */
    BRANCHES = 32,
    FLOATS = 64,
    ALONE = 128,
    FP_MOVES = 256,
    FP_MULTIPLIES = 512
};

#define NO_BANK 2u
#define PREDICTED(address) ((address) >> 1 & 4095u)

static uint32_t class_of(const tv_microop *op)
{
    const int twice = (op->flags & DOUBLE) != 0;
    switch (op->kind) {
    case MULTIPLY:
    case MAC:
    case MULTIPLY_LONG:
        return MULTIPLIES;
    case STORE:
        return STORES;
    case LOAD:
        return LOADS;
    case BIT:
        return BITS | (op->flags & (INLINE_SHIFT | EARLY_OPERAND) ? SHIFTS : 0);
    case ALU:
    case SYSTEM:
        return op->flags & (INLINE_SHIFT | SHIFTED_IMMEDIATE) ? SHIFTS : 0;
    case BRANCH:
    case BRANCH_IF:
    case CALL:
    case BRANCH_REGISTER:
    case COMPARE_BRANCH:
        return BRANCHES;
    case FP:
    case FP_DIVIDE:
        return FLOATS | (twice ? ALONE : 0);
    case FP_FMA:
    case FP_MLA:
        return FLOATS | FP_MULTIPLIES | (twice ? ALONE : 0);
    case FP_MOVE:
        return op->registers > 1 ? ALONE : FP_MOVES;
    case FP_LOAD:
        return LOADS | (twice ? ALONE : FP_MOVES);
    case FP_STORE:
        return STORES | (twice ? ALONE : FP_MOVES);
    case LOAD_MULTIPLE:
    case STORE_MULTIPLE:
    case LOAD_DOUBLE:
    case STORE_DOUBLE:
    case FP_LOAD_MULTIPLE:
    case FP_STORE_MULTIPLE:
    case POP_PC:
    case LOAD_PC:
    case TABLE_BRANCH:
    case DIVIDE:
    case BARRIER:
        return ALONE;
    default:
        return 0;
    }
}

static uint64_t latest(const uint64_t *ready, uint64_t registers, uint64_t time, int *last)
{
    for (; registers; registers &= registers - 1) {
        const int reg = __builtin_ctzll(registers);
        if (ready[reg] > time) {
            time = ready[reg];
            *last = reg;
        }
    }
    return time;
}

/* The first cycle in which all operands are where they are needed; `last`: the one that comes last,
 * or -1. */
static uint64_t operands_ready(const tv_engine *e, const tv_microop *op, int *last)
{
    uint64_t time = e->cycle;
    switch (op->kind) {
    case MULTIPLY:
    case MAC:
    case MULTIPLY_LONG:
        time = latest(e->multiplicand, op->sources, time, last);
        return latest(e->accumulate, op->special_sources, time, last);
    case FP_FMA:
    case FP_MLA:
        time = latest(e->late, op->sources, time, last);
        return latest(e->accumulate, op->special_sources, time, last);
    case STORE:
    case STORE_DOUBLE:
    case STORE_MULTIPLE:
    case FP_STORE:
    case FP_STORE_MULTIPLE:
        time = latest(e->store, op->sources, time, last);
        return latest(e->early, op->address_sources, time, last);
    default:
        time = latest(e->late, op->sources, time, last);
        return latest(e->early, op->address_sources | op->special_sources, time, last);
    }
}

/* An FPU that has begun a multiply-accumulate keeps others waiting for three cycles. */
static uint64_t fpu_ready(const tv_engine *e, const tv_microop *op, uint64_t time)
{
    const int blocked = op->kind == FP || op->kind == FP_LOAD_MULTIPLE ||
                        op->kind == FP_STORE_MULTIPLE ||
                        ((op->kind == FP_LOAD || op->kind == FP_STORE) && op->flags & DOUBLE);
    return blocked && e->mac_end > time ? e->mac_end : time;
}

/* Whether an instruction of class `b`, on `bank`, may join the group of class `a`. */
static int pairs(const tv_engine *e, uint32_t b, uint32_t bank)
{
    const uint32_t a = e->group, both = a & b;
    if (e->slot >= 2 || (a | b) & ALONE || b & BITS || both & (SHIFTS | BRANCHES | FLOATS)) {
        return 0;
    }
    if (b & (MULTIPLIES | STORES) && a & (MULTIPLIES | STORES)) {
        return 0;
    }
    if (both & FP_MOVES && !((a | b) & LOADS)) {
        return 0;
    }
    if ((a & FP_MULTIPLIES && b & FP_MOVES) || (b & FP_MULTIPLIES && a & FP_MOVES)) {
        return 0;
    }
    if (b & FP_MOVES && e->cycle < e->mac_end) {
        return 0;
    }
    return !(both & LOADS && bank == e->group_bank);
}

static void new_group(tv_engine *e)
{
    e->slot = 0;
    e->group = 0;
    e->group_bank = NO_BANK;
}

typedef struct {
    uint64_t late, early, accumulate, multiplicand, store;
} latencies;

static void set_ready(tv_engine *e, uint64_t registers, uint64_t time, latencies l)
{
    for (; registers; registers &= registers - 1) {
        const int reg = __builtin_ctzll(registers);
        e->late[reg] = time + l.late;
        e->early[reg] = time + l.early;
        e->accumulate[reg] = time + l.accumulate;
        e->multiplicand[reg] = time + l.multiplicand;
        e->store[reg] = time + l.store;
    }
}

static latencies after(latencies l, uint64_t cycles)
{
    return (latencies){l.late + cycles, l.early + cycles, l.accumulate + cycles,
                       l.multiplicand + cycles, l.store + cycles};
}

static const latencies AT_ONCE = {0, 1, 0, 0, 0};   /* from the early ALU */
static const latencies FROM_ALU = {1, 2, 0, 1, 0};  /* from the late ALU */
static const latencies FROM_BITS = {1, 2, 1, 1, 0};
static const latencies FROM_MULTIPLIER = {2, 3, 1, 2, 1};
static const latencies FROM_LOAD = {1, 2, 1, 2, 0};
static const latencies FROM_NARROW_LOAD = {2, 3, 1, 2, 0};
static const latencies FROM_DIVIDER = {1, 2, 1, 1, 0};
static const latencies FROM_FP = {3, 3, 3, 3, 1};
static const latencies FROM_FP_FMA = {5, 5, 3, 5, 3};
static const latencies FROM_FP_MLA = {6, 6, 3, 6, 4};
static const latencies FROM_FP_LOAD = {1, 2, 3, 1, 1};
static const latencies FROM_FP_MOVE = {2, 3, 1, 2, 1};
static const latencies FROM_FP_DIVIDER = {1, 1, 1, 1, 0};
static const latencies FROM_ADDRESS = {1, 1, 1, 1, 0};

static latencies play_alu(tv_engine *e, const tv_microop *op)
{
    int none;
    if (op->flags & SETS_FLAGS) {
        e->flags_set = e->cycle;
    }
    if (op->flags & EARLY && (e->slot == 0 || op->kind == SHIFT) &&
        latest(e->early, op->sources, 0, &none) <= e->cycle) {
        return AT_ONCE;
    }
    return FROM_ALU;
}

/* Runs anything but a branch. Returns its result's latencies; `extra`: cycles for which it keeps
 * the whole pipeline. */
static latencies play(tv_engine *e, const tv_step *s, uint64_t *extra)
{
    const tv_microop *op = s->op;
    const uint64_t pairs_more = (uint64_t)(op->registers + 1) / 2 - 1;
    latencies l = FROM_ALU;
    switch (op->kind) {
    case BIT:
        return FROM_BITS;
    case MULTIPLY:
    case MAC:
    case MULTIPLY_LONG:
        if (op->flags & SETS_FLAGS) {
            e->flags_set = e->cycle + 1;
        }
        return FROM_MULTIPLIER;
    case LOAD:
    case FP_LOAD:
        *extra = (uint64_t)tv_read(e, s->address);
        if (op->width <= 4 && s->address & (op->width - 1u)) {
            *extra += (uint64_t)e->core.unaligned_access;
            tv_stall(e, OTHER, (uint64_t)e->core.unaligned_access);
        }
        l = op->kind == FP_LOAD ? FROM_FP_LOAD
            : op->flags & NARROW ? FROM_NARROW_LOAD
                                 : FROM_LOAD;
        return after(l, *extra);
    case STORE:
    case FP_STORE:
        *extra = (uint64_t)tv_write(e, s->address);
        return l;
    case LOAD_DOUBLE:
        *extra = (uint64_t)tv_read_all(e, s);
        return FROM_LOAD;
    case LOAD_MULTIPLE:
    case FP_LOAD_MULTIPLE:
        tv_stall(e, OTHER, pairs_more);
        *extra = pairs_more + (uint64_t)tv_read_all(e, s);
        return after(FROM_LOAD, *extra);
    case STORE_DOUBLE:
        *extra = (uint64_t)tv_write_all(e, s);
        return l;
    case STORE_MULTIPLE:
    case FP_STORE_MULTIPLE:
        tv_stall(e, OTHER, pairs_more);
        *extra = pairs_more + (uint64_t)tv_write_all(e, s);
        return l;
    case DIVIDE:
        *extra = (uint64_t)(e->core.divide - 1);
        tv_stall(e, OTHER, *extra);
        return after(FROM_DIVIDER, *extra);
    case FP:
        return FROM_FP;
    case FP_FMA:
        e->mac_end = e->cycle + 4;
        return FROM_FP_FMA;
    case FP_MLA:
        e->mac_end = e->cycle + 4;
        return FROM_FP_MLA;
    case FP_MOVE:
        return op->results >> FPU_BIT ? FROM_FP : FROM_FP_MOVE;
    case FP_DIVIDE:
        *extra = (uint64_t)(e->core.fp_divide - 1);
        tv_stall(e, OTHER, *extra);
        return after(FROM_FP_DIVIDER, *extra);
    case BARRIER:
        *extra = (uint64_t)e->core.barrier;
        tv_stall(e, OTHER, *extra);
        return l;
    default:
        return play_alu(e, op);
    }
}

/* Cycles lost because a branch went elsewhere than foreseen. */
static uint64_t mispredicted(tv_engine *e, const tv_step *s, int taken)
{
    const tv_microop *op = s->op;
    const tv_core *core = &e->core;
    uint32_t *target = &e->target[PREDICTED(op->address)];
    uint8_t *direction = &e->direction[PREDICTED(op->address)];
    const int known = *target == s->next;
    switch (op->kind) {
    case BRANCH_IF:
    case COMPARE_BRANCH: {
        const int wrong = (*direction >= 2) != taken;
        if (taken) {
            *direction += *direction < 3;
            *target = s->next;
        } else {
            *direction -= *direction > 0;
        }
        if (!wrong) {
            return taken && !known ? (uint64_t)core->retarget : 0;
        }
        const int early = op->kind == BRANCH_IF && e->cycle >= e->flags_set + 3;
        return (uint64_t)(early ? core->mispredict_early : core->mispredict);
    }
    case BRANCH_REGISTER:
    case TABLE_BRANCH:
    case LOAD_PC:
        *target = s->next;
        return known || op->flags & RETURN ? 0 : (uint64_t)core->mispredict;
    case POP_PC: /* the return stack knows */
        return 0;
    default:
        *target = s->next;
        return known ? 0 : (uint64_t)core->retarget;
    }
}

/* Returns whether the group ends here: a branch was taken, or foreseen where it was not. */
static int play_branch(tv_engine *e, const tv_step *s)
{
    const tv_microop *op = s->op;
    const int taken = s->executed && s->next != op->address + op->size;
    uint64_t extra = 0;
    if (op->kind == POP_PC || op->kind == LOAD_PC || op->kind == TABLE_BRANCH) {
        const uint64_t more = op->kind == POP_PC ? (uint64_t)(op->registers + 1) / 2 : 0;
        tv_stall(e, OTHER, more);
        extra = more + (uint64_t)tv_read_all(e, s);
    }
    const uint64_t penalty = mispredicted(e, s, taken);
    tv_stall(e, BRANCHING, penalty);
    if (!taken && !penalty) {
        return 0;
    }
    e->cycle += 1 + penalty + (taken ? extra : 0);
    new_group(e);
    return 1;
}

/* Waits for operands and for a place in a group. */
static void issue(tv_engine *e, const tv_microop *op, uint32_t class, uint32_t bank)
{
    int reg = -1;
    uint64_t time = fpu_ready(e, op, operands_ready(e, op, &reg));
    uint64_t stalled = 0;
    if (!e->slot) {
        stalled = time - e->cycle;
        e->cycle = time;
    } else if (time > e->cycle || !pairs(e, class, bank)) {
        time = time > e->cycle ? time : e->cycle + 1;
        stalled = time - e->cycle - 1;
        e->cycle = time;
        new_group(e);
    }
    const int from_load = reg >= 0 && e->from_load >> reg & 1;
    tv_stall(e, from_load ? LOAD_USE : DEPENDENCY, stalled);
}

void tv_play_m7(tv_engine *e, const tv_step *s)
{
    const tv_microop *op = s->op;
    const uint32_t class = class_of(op);
    const int load = op->kind == LOAD || op->kind == FP_LOAD;
    const uint32_t bank = load && s->executed ? s->address >> 2 & 1u : NO_BANK;
    const uint64_t before = e->cycle;
    tv_fetch(e, op);
    if (e->cycle != before) {
        new_group(e);
    }
    issue(e, op, class, bank);
    const int branch = op->kind >= BRANCH && op->kind <= TABLE_BRANCH;
    const uint64_t time = e->cycle;
    uint64_t extra = 0;
    if (!s->executed) {
        set_ready(e, op->results, time, FROM_ALU);
    } else if (!branch) {
        set_ready(e, op->results, time, play(e, s, &extra));
        set_ready(e, op->base_result, time, FROM_ADDRESS);
        const uint64_t written = op->results | op->base_result;
        const int loads = load || op->kind == LOAD_DOUBLE || op->kind == LOAD_MULTIPLE ||
                          op->kind == FP_LOAD_MULTIPLE;
        e->from_load = (e->from_load & ~written) | (loads ? op->results : 0);
    }
    if (branch) {
        set_ready(e, op->base_result, time, FROM_ADDRESS);
        if (play_branch(e, s)) {
            return;
        }
    }
    if (extra) { /* the rest of the group waits as well */
        e->cycle = time + extra;
        e->slot = class & ALONE ? 2 : 1;
        e->group = class;
        e->group_bank = bank;
        return;
    }
    e->slot = class & ALONE ? 2 : e->slot + 1;
    if (e->slot == 1 || !e->group) {
        e->group = class;
        e->group_bank = bank;
    } else {
        e->group |= class;
    }
}
