/* Cortex-M0+: two stages, one instruction at a time (Cortex-M0+ TRM, DDI 0484, table 3-1). */
#include "engine.h"

void tv_play_m0(tv_engine *e, const tv_step *s)
{
    const tv_microop *op = s->op;
    const tv_core *core = &e->core;
    uint64_t cost = 1, refill = 0;
    int waited = 0;
    tv_fetch(e, op);
    switch (op->kind) {
    case LOAD:
        waited = tv_read(e, s->address);
        cost = 2;
        break;
    case STORE:
        waited = tv_write(e, s->address);
        cost = 2;
        break;
    case LOAD_MULTIPLE:
        waited = tv_read_all(e, s);
        cost = 1u + op->registers;
        break;
    case STORE_MULTIPLE:
        waited = tv_write_all(e, s);
        cost = 1u + op->registers;
        break;
    case POP_PC:
        waited = tv_read_all(e, s);
        refill = (uint64_t)core->load_pc;
        cost = 1u + op->registers;
        break;
    case CALL: /* a 32-bit instruction: one cycle more than others */
        refill = (uint64_t)core->branch;
        cost = 2;
        break;
    case BRANCH:
    case BRANCH_IF:
    case BRANCH_REGISTER:
        refill = tv_taken(s) ? (uint64_t)core->branch : 0;
        break;
    case BARRIER:
        cost = (uint64_t)core->barrier;
        break;
    case SYSTEM:
        cost = (uint64_t)core->system;
        break;
    default:
        break;
    }
    tv_stall(e, BRANCHING, refill);
    tv_stall(e, OTHER, cost - 1);
    e->cycle += cost + refill + (uint64_t)waited;
}
