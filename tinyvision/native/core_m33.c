/* Cortex-M33: three stages, in order; some 16-bit instructions issue in pairs, results come a cycle
 * or two after issue. */
#include "engine.h"

enum { WAS_SHORT = 1, SET_FLAGS = 2 };

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

static void wait_for_operands(tv_engine *e, const tv_microop *op)
{
    int reg = -1;
    uint64_t time = latest(e->ready, op->sources | op->address_sources, e->cycle, &reg);
    time = latest(e->ready_special, op->special_sources, time, &reg);
    if (op->kind >= FP && op->kind <= FP_STORE_MULTIPLE && e->fpu_free > time) {
        time = e->fpu_free;
        reg = -1;
    }
    const int from_load = reg >= 0 && e->from_load >> reg & 1;
    tv_stall(e, from_load ? LOAD_USE : DEPENDENCY, time - e->cycle);
    e->cycle = time;
}

/* Cycles of a branch; one that is paired with the 16-bit instruction before it takes one less. */
static uint64_t play_branch(tv_engine *e, const tv_step *s)
{
    const tv_microop *op = s->op;
    const tv_core *core = &e->core;
    const int paired = op->size == 2 && e->previous_flags & WAS_SHORT;
    const int paired_taken = paired && !(e->previous_flags & SET_FLAGS);
    uint64_t cost = 1, refill = (uint64_t)core->branch;
    switch (op->kind) {
    case BRANCH_IF:
    case COMPARE_BRANCH:
        if (!tv_taken(s)) {
            return paired ? 0 : 1;
        }
        cost -= paired_taken;
        break;
    case BRANCH:
        cost -= paired_taken;
        break;
    case CALL:
        break;
    case BRANCH_REGISTER:
        refill = (uint64_t)core->branch_register;
        break;
    default: /* POP_PC, LOAD_PC, TABLE_BRANCH */
        refill = (uint64_t)core->load_pc;
        cost = op->kind == POP_PC ? op->registers : op->kind == LOAD_PC ? 2 : 3;
        tv_stall(e, OTHER, cost - 1);
        cost += (uint64_t)tv_read_all(e, s);
    }
    if (s->next & 2 && s->next_wide && tv_taken(s)) {
        refill += (uint64_t)core->wide_target;
    }
    tv_stall(e, BRANCHING, refill);
    return cost + refill;
}

static uint64_t play_transfer(tv_engine *e, const tv_step *s)
{
    const tv_microop *op = s->op;
    uint64_t cost = op->registers;
    uint64_t waited;
    switch (op->kind) {
    case LOAD:
    case FP_LOAD:
        cost = op->flags & DOUBLE ? 2 : 1;
        waited = (uint64_t)tv_read(e, s->address);
        if (op->kind == LOAD && s->address & (op->width - 1u)) {
            cost += (uint64_t)e->core.unaligned_access;
        }
        break;
    case STORE:
    case FP_STORE:
        cost = op->flags & DOUBLE ? 2 : 1;
        waited = (uint64_t)tv_write(e, s->address);
        break;
    case LOAD_MULTIPLE:
    case LOAD_DOUBLE:
    case FP_LOAD_MULTIPLE:
        waited = (uint64_t)tv_read_all(e, s);
        break;
    default:
        waited = (uint64_t)tv_write_all(e, s);
    }
    tv_stall(e, OTHER, cost - 1);
    return cost + waited;
}

/* Cycles that an instruction occupies the pipeline; `latency` of its result, `special` of the same
 * where an accumulator or the like takes it. */
static uint64_t play_arithmetic(tv_engine *e, const tv_microop *op, uint64_t *latency,
                                uint64_t *special)
{
    uint64_t cost = 1;
    switch (op->kind) {
    case ALU:
    case SHIFT:
    case SYSTEM:
        if (op->flags & (INLINE_SHIFT | SHIFTED_IMMEDIATE)) {
            *latency = 2;
            cost = op->flags & SETS_FLAGS && op->flags & SHIFTED_IMMEDIATE ? 2 : 1;
        }
        break;
    case BIT:
        *latency = 2;
        *special = op->flags & EXTEND_ADD ? 1 : 2;
        break;
    case MULTIPLY:
        *latency = 2;
        cost = op->flags & SETS_FLAGS ? 2 : 1;
        break;
    case MAC:
    case MULTIPLY_LONG:
        *latency = 2;
        break;
    case NOP:
        cost = op->size == 2 && e->previous_flags & WAS_SHORT ? 0 : 1;
        break;
    case IT:
        cost = 0;
        break;
    case DIVIDE:
        cost = (uint64_t)e->core.divide;
        break;
    case BARRIER:
        cost = (uint64_t)e->core.barrier;
        break;
    case FP:
        *latency = 2;
        break;
    case FP_FMA:
    case FP_MLA:
        *latency = 4;
        *special = 3;
        e->fpu_free = e->cycle + 3;
        break;
    case FP_DIVIDE:
        cost = (uint64_t)e->core.fp_divide;
        break;
    case FP_MOVE:
        *latency = 2;
        cost = op->registers > 1 ? 2 : 1;
        break;
    default:
        break;
    }
    if (cost > 1) {
        tv_stall(e, OTHER, cost - 1);
    }
    return cost;
}

static void set_ready(tv_engine *e, uint64_t registers, uint64_t ready, uint64_t special)
{
    for (; registers; registers &= registers - 1) {
        const int reg = __builtin_ctzll(registers);
        e->ready[reg] = ready;
        e->ready_special[reg] = special;
    }
}

void tv_play_m33(tv_engine *e, const tv_step *s)
{
    const tv_microop *op = s->op;
    tv_fetch(e, op);
    wait_for_operands(e, op);
    uint64_t cost = 1, latency = 1, special = 1;
    int loads = 0;
    if (!s->executed) {
        cost = 1;
    } else if (op->kind >= BRANCH && op->kind <= TABLE_BRANCH) {
        cost = play_branch(e, s);
    } else if ((op->kind >= LOAD && op->kind <= STORE_DOUBLE) ||
               (op->kind >= FP_LOAD && op->kind <= FP_STORE_MULTIPLE)) {
        loads = op->results != 0;
        latency = loads ? 2 : 1;
        cost = play_transfer(e, s);
    } else {
        cost = play_arithmetic(e, op, &latency, &special);
    }
    const uint64_t last = e->cycle + (cost ? cost - 1 : 0);
    set_ready(e, op->results, last + latency, last + special);
    set_ready(e, op->base_result, last + 1, last + 1);
    e->from_load &= ~(op->results | op->base_result);
    e->from_load |= loads ? op->results : 0;
    e->cycle += cost;
    e->previous_flags = 0;
    if (op->size == 2 && !tv_taken(s) && cost > 0 && op->kind != BRANCH_IF) {
        e->previous_flags |= WAS_SHORT;
    }
    if (op->flags & SETS_FLAGS) {
        e->previous_flags |= SET_FLAGS;
    }
}
