/* Cortex-M3 and M4: three stages, single issue. A load is overlapped by the load or store after it
 * (Cortex-M3 TRM, DDI 0337, 3.3.2; Cortex-M4 TRM, DDI 0439, 3.3.2). */
#include "engine.h"

enum { WAS_LOAD = 1, WAS_STORE = 2, WAS_FP = 4 };

static int is_fp_arithmetic(uint32_t kind)
{
    return kind >= FP && kind <= FP_DIVIDE;
}

/* Cycles lost between the previous instruction and this one. */
static void wait_for_previous(tv_engine *e, const tv_microop *op)
{
    const tv_core *core = &e->core;
    const uint32_t kind = op->kind;
    const int load = kind == LOAD || kind == FP_LOAD;
    const int store = kind == STORE || kind == FP_STORE;
    const int loads = load || kind == LOAD_MULTIPLE || kind == LOAD_DOUBLE;
    if (e->previous_flags & WAS_LOAD) {
        const int overlaps = (load || store) && !(e->previous_results & op->address_sources);
        if (!overlaps && kind != NOP) {
            e->cycle += (uint64_t)core->load_to_use;
            tv_stall(e, LOAD_USE, (uint64_t)core->load_to_use);
        }
    }
    if (e->previous_flags & WAS_STORE && loads) {
        e->cycle += (uint64_t)core->store_to_load;
        tv_stall(e, DEPENDENCY, (uint64_t)core->store_to_load);
    }
    if (e->previous_flags & WAS_FP && e->previous_results & op->sources) {
        e->cycle += (uint64_t)core->fp_result;
        tv_stall(e, DEPENDENCY, (uint64_t)core->fp_result);
    }
    if (op->size == 4 && op->address & 2) {
        if (++e->unaligned_wide == 3) {
            e->cycle += (uint64_t)core->unaligned_run;
            tv_stall(e, OTHER, (uint64_t)core->unaligned_run);
        }
    } else {
        e->unaligned_wide = 0;
    }
}

static uint64_t play_load(tv_engine *e, const tv_step *s)
{
    const tv_microop *op = s->op;
    const int memory = tv_memory_at(e, s->address);
    uint64_t cost = 1u + (uint64_t)tv_read(e, s->address);
    uint64_t other = op->flags & DOUBLE ? 1 : 0;
    if (op->kind == LOAD && s->address & (op->width - 1u)) {
        other += (uint64_t)e->core.unaligned_access;
    }
    if (e->previous_flags & WAS_LOAD && memory != e->previous_memory) {
        other += (uint64_t)e->core.other_memory;
    }
    e->previous_memory = memory;
    tv_stall(e, OTHER, other);
    return cost + other;
}

static uint64_t play_transfer(tv_engine *e, const tv_step *s, uint32_t *flags)
{
    const tv_microop *op = s->op;
    switch (op->kind) {
    case LOAD:
    case FP_LOAD:
        *flags = WAS_LOAD;
        return play_load(e, s);
    case STORE:
    case FP_STORE:
        *flags = WAS_STORE;
        tv_stall(e, OTHER, op->flags & DOUBLE ? 1 : 0);
        return 1u + (uint64_t)tv_write(e, s->address) + (op->flags & DOUBLE ? 1u : 0u);
    case LOAD_MULTIPLE:
    case LOAD_DOUBLE:
    case FP_LOAD_MULTIPLE:
        tv_stall(e, OTHER, op->registers);
        return 1u + op->registers + (uint64_t)tv_read_all(e, s);
    default: /* STORE_MULTIPLE, STORE_DOUBLE, FP_STORE_MULTIPLE */
        tv_stall(e, OTHER, op->registers);
        return 1u + op->registers + (uint64_t)tv_write_all(e, s);
    }
}

static uint64_t play_branch(tv_engine *e, const tv_step *s)
{
    const tv_microop *op = s->op;
    const tv_core *core = &e->core;
    if (!tv_taken(s)) {
        return 1;
    }
    uint64_t refill = (uint64_t)core->branch, cost = 1;
    if (op->kind == BRANCH_REGISTER) {
        refill = (uint64_t)core->branch_register;
    } else if (op->kind == POP_PC || op->kind == LOAD_PC || op->kind == TABLE_BRANCH) {
        refill = (uint64_t)core->load_pc;
        const uint64_t others = op->kind == POP_PC ? op->registers : op->kind == LOAD_PC ? 1 : 2;
        tv_stall(e, OTHER, others);
        cost += others + (uint64_t)tv_read_all(e, s);
    }
    if (s->next & 2 && s->next_wide) {
        refill += (uint64_t)core->wide_target;
    }
    e->unaligned_wide = 0;
    tv_stall(e, BRANCHING, refill);
    return cost + refill;
}

static uint64_t longer(tv_engine *e, int32_t cycles)
{
    tv_stall(e, OTHER, (uint64_t)(cycles - 1));
    return (uint64_t)cycles;
}

void tv_play_m3(tv_engine *e, const tv_step *s)
{
    const tv_microop *op = s->op;
    const tv_core *core = &e->core;
    uint32_t flags = 0;
    uint64_t cost = 1;
    tv_fetch(e, op);
    wait_for_previous(e, op);
    if (!s->executed) {
        cost = 1;
    } else if (op->kind >= BRANCH && op->kind <= TABLE_BRANCH) {
        cost = play_branch(e, s);
    } else if ((op->kind >= LOAD && op->kind <= STORE_DOUBLE) ||
               (op->kind >= FP_LOAD && op->kind <= FP_STORE_MULTIPLE)) {
        cost = play_transfer(e, s, &flags);
    } else {
        switch (op->kind) {
        case MAC:
            cost = longer(e, core->mac);
            break;
        case MULTIPLY_LONG:
            cost = longer(e, op->flags & LONG_ACCUMULATE ? core->mac_long : core->multiply_long);
            break;
        case DIVIDE:
            cost = longer(e, core->divide);
            break;
        case BARRIER:
            cost = longer(e, core->barrier);
            break;
        case SYSTEM:
            cost = longer(e, core->system);
            break;
        case FP_FMA:
        case FP_MLA:
            cost = longer(e, core->fp_mac);
            break;
        case FP_DIVIDE:
            cost = longer(e, core->fp_divide);
            break;
        case FP_MOVE:
            cost = longer(e, op->registers > 1 ? 2 : 1);
            break;
        default:
            break;
        }
        flags = is_fp_arithmetic(op->kind) ? WAS_FP : 0;
    }
    e->previous_flags = flags;
    e->previous_results = op->results;
    e->cycle += cost;
}
