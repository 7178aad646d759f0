/* Cortex-M0+: two stages, one instruction at a time (Cortex-M0+ TRM, DDI 0484, table 3-1). */
#include "engine.h"

void tv_play_m0(tv_engine *e, const tv_step *s)
{
    const tv_microop *op = s->op;
    const tv_core *core = &e->core;
    uint64_t cost = 1;
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
        cost = 1u + op->registers + (uint64_t)core->load_pc;
        tv_stall(e, BRANCHING, (uint64_t)core->load_pc);
        break;
    case CALL: /* a 32-bit instruction: one cycle more than others */
        cost = 2u + (uint64_t)core->branch;
        tv_stall(e, BRANCHING, (uint64_t)core->branch);
        break;
    case BRANCH:
    case BRANCH_IF:
    case BRANCH_REGISTER:
        if (tv_taken(s)) {
            cost = 1u + (uint64_t)core->branch;
            tv_stall(e, BRANCHING, (uint64_t)core->branch);
        }
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
    if (!tv_taken(s) && cost > 1) {
        tv_stall(e, OTHER, cost - 1);
    }
    e->cycle += cost + (uint64_t)waited;
}
