/* nRF52832/833/840: the core runs at 64 MHz from reset on. The crystal, for an exact UART; the instruction
 * cache; and the debug port, which newer silicon closes after each reset unless firmware says otherwise.
 * nRF52840 product specification, chapters CLOCK, NVMC and Debug and trace. */
#include "bsp.h"

enum {
    CLOCK = 0x40000000,
    TASKS_HFCLKSTART = CLOCK + 0x000,
    EVENTS_HFCLKSTARTED = CLOCK + 0x100,
    APPROTECT_DISABLE = 0x40000558,
    NVMC_ICACHECNF = 0x4001E540
};

void bsp_clock_init(void)
{
    BSP_REGISTER(APPROTECT_DISABLE) = 0x5Au;
    BSP_REGISTER(EVENTS_HFCLKSTARTED) = 0u;
    BSP_REGISTER(TASKS_HFCLKSTART) = 1u;
    bsp_wait(EVENTS_HFCLKSTARTED, 1u, 1u);
    BSP_REGISTER(NVMC_ICACHECNF) = 1u;
}
