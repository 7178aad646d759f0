/* STM32H742/743/753 from HSI through PLL1; RM0433. */
#include "stm32h7_rcc.h"

enum { DBGMCU_IDCODE = 0x5C001000, AXI_TARG7_FN_MOD = 0x51008108 };

void bsp_clock_init(void)
{
    /* ES0392, silicon before revision V: reads of AXI SRAM may be corrupted without this. */
    if (BSP_REGISTER(DBGMCU_IDCODE) >> 16 < 0x2000u) {
        BSP_REGISTER(AXI_TARG7_FN_MOD) = 1u;
    }
    stm32h7_power(7u, 2u); /* LDOEN: the core is fed by the LDO; scale 1 */
    stm32h7_pll_on();
}
