/* Cortex-M55: in order, single issue; vectors of 128 bits in two beats of 64 bits each, so that a
 * vector instruction takes its unit for two cycles while the next one, for another unit, may begin
 * a cycle after it. From Arm's public descriptions of the core; never compared with hardware. */
#include "engine.h"

enum { LOAD_STORE_UNIT, INTEGER_UNIT, FLOAT_UNIT, BEATS = 2 };

static uint64_t latest(const uint64_t *ready, uint64_t registers, uint64_t time)
{
    for (; registers; registers &= registers - 1) {
        const int reg = __builtin_ctzll(registers);
        time = ready[reg] > time ? ready[reg] : time;
    }
    return time;
}

static void set_ready(tv_engine *e, uint64_t registers, uint64_t time)
{
    for (; registers; registers &= registers - 1) {
        e->ready[__builtin_ctzll(registers)] = time;
    }
}

static int is_vector(uint32_t kind)
{
    return kind >= VECTOR && kind <= VECTOR_GATHER;
}

static uint32_t unit_of(uint32_t kind)
{
    return kind == VECTOR_FLOAT                        ? FLOAT_UNIT
           : kind == VECTOR || kind == VECTOR_MULTIPLY ? INTEGER_UNIT
                                                       : LOAD_STORE_UNIT;
}

static void wait(tv_engine *e, const tv_microop *op)
{
    const uint64_t registers = op->sources | op->address_sources | op->special_sources;
    uint64_t time = latest(e->ready, registers, e->cycle);
    tv_stall(e, e->from_load & registers ? LOAD_USE : DEPENDENCY, time - e->cycle);
    e->cycle = time;
    if (is_vector(op->kind)) { /* the unit may still be busy with the last one's second beat */
        time = e->vector_free[unit_of(op->kind)];
    } else { /* a scalar instruction does not overlap with vectors */
        time = 0;
        for (int i = 0; i < 3; i++) {
            time = e->vector_free[i] > time ? e->vector_free[i] : time;
        }
    }
    if (time > e->cycle) {
        tv_stall(e, OTHER, time - e->cycle);
        e->cycle = time;
    }
}

static uint64_t play_vector(tv_engine *e, const tv_step *s, uint64_t *latency)
{
    const tv_microop *op = s->op;
    uint64_t cost = 1, waited = 0;
    switch (op->kind) {
    case VECTOR_LOAD:
        waited = (uint64_t)tv_read_all(e, s);
        *latency = BEATS;
        break;
    case VECTOR_STORE:
        waited = (uint64_t)tv_write_all(e, s);
        break;
    case VECTOR_GATHER: /* element by element, two a cycle */
        cost = (uint64_t)(op->registers + 1) / 2;
        *latency = cost + BEATS;
        break;
    case VECTOR_FLOAT:
        *latency = BEATS + 1;
        break;
    default:
        *latency = BEATS;
    }
    tv_stall(e, OTHER, cost - 1);
    e->vector_free[unit_of(op->kind)] = e->cycle + cost + waited + BEATS - 1;
    return cost + waited;
}

static uint64_t play_branch(tv_engine *e, const tv_step *s)
{
    const tv_microop *op = s->op;
    uint64_t cost = 1;
    if (op->kind == LOOP_START || op->kind == LOOP_END) {
        return cost; /* the loop cache knows where it goes on */
    }
    if (op->kind >= POP_PC && op->kind <= TABLE_BRANCH) {
        const uint64_t more = op->kind == POP_PC ? op->registers - 1u : 1;
        tv_stall(e, OTHER, more);
        cost += more + (uint64_t)tv_read_all(e, s);
    }
    if (tv_taken(s)) {
        tv_stall(e, BRANCHING, (uint64_t)e->core.branch);
        cost += (uint64_t)e->core.branch;
    }
    return cost;
}

static uint64_t longer(tv_engine *e, int32_t cycles)
{
    tv_stall(e, OTHER, (uint64_t)(cycles - 1));
    return (uint64_t)cycles;
}

static uint64_t play_scalar(tv_engine *e, const tv_step *s, uint64_t *latency)
{
    const tv_microop *op = s->op;
    switch (op->kind) {
    case LOAD:
    case FP_LOAD:
        *latency = 2;
        return 1 + (uint64_t)tv_read(e, s->address);
    case STORE:
    case FP_STORE:
        return 1 + (uint64_t)tv_write(e, s->address);
    case LOAD_MULTIPLE:
    case LOAD_DOUBLE:
    case FP_LOAD_MULTIPLE:
        *latency = 2;
        return longer(e, (op->registers + 1) / 2) + (uint64_t)tv_read_all(e, s);
    case STORE_MULTIPLE:
    case STORE_DOUBLE:
    case FP_STORE_MULTIPLE:
        return longer(e, (op->registers + 1) / 2) + (uint64_t)tv_write_all(e, s);
    case MULTIPLY:
    case MAC:
    case MULTIPLY_LONG:
    case FP:
        *latency = 2;
        return 1;
    case FP_FMA:
    case FP_MLA:
        *latency = 4;
        return 1;
    case DIVIDE:
        return longer(e, e->core.divide);
    case FP_DIVIDE:
        return longer(e, e->core.fp_divide);
    case BARRIER:
        return longer(e, e->core.barrier);
    default:
        return 1;
    }
}

void tv_play_m55(tv_engine *e, const tv_step *s)
{
    const tv_microop *op = s->op;
    uint64_t latency = 1, cost = 1;
    tv_fetch(e, op);
    wait(e, op);
    if (!s->executed) {
        cost = 1;
    } else if (is_vector(op->kind)) {
        cost = play_vector(e, s, &latency);
    } else if (op->kind >= BRANCH && op->kind <= LOOP_END) {
        cost = play_branch(e, s);
    } else {
        cost = play_scalar(e, s, &latency);
    }
    set_ready(e, op->results, e->cycle + cost - 1 + latency);
    set_ready(e, op->base_result, e->cycle + cost);
    e->from_load &= ~(op->results | op->base_result);
    if (op->kind == LOAD || op->kind == FP_LOAD || op->kind == VECTOR_LOAD) {
        e->from_load |= op->results;
    }
    e->cycle += cost;
}
