/* Cycle counter of the data watchpoint and trace unit (Armv7-M ARM, C1.8). */
#include "bsp.h"

enum { DEMCR = 0xE000EDFC, DWT_CTRL = 0xE0001000, DWT_CYCCNT = 0xE0001004, DWT_LAR = 0xE0001FB0 };

void bsp_cycles_init(void)
{
    BSP_REGISTER(DEMCR) |= 1u << 24;          /* TRCENA */
    BSP_REGISTER(DWT_LAR) = 0xC5ACCE55u;      /* Cortex-M7 locks the unit for software */
    BSP_REGISTER(DWT_CYCCNT) = 0;
    BSP_REGISTER(DWT_CTRL) |= 1u;             /* CYCCNTENA */
}

int bsp_cycles_present(void)
{
    return (BSP_REGISTER(DWT_CTRL) & 1u << 25) == 0; /* NOCYCCNT */
}

uint32_t bsp_cycles(void)
{
    return BSP_REGISTER(DWT_CYCCNT);
}
