/* Blocks of RP2040 and RP2350 that wait in reset until they are wanted. */
#ifndef RP2_RESETS_H
#define RP2_RESETS_H

#include "bsp.h"

static inline void rp2_out_of_reset(uint32_t resets, uint32_t blocks)
{
    enum { RESET = 0x00, RESET_DONE = 0x08 };
    bsp_modify(resets + RESET, blocks, 0u);
    bsp_wait(resets + RESET_DONE, blocks, blocks);
}

#endif
