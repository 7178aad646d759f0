/* STM32H7A3/7B3/7B0 with step-down converter (part numbers that end in Q) from HSI through PLL1;
 * RM0455. */
#include "stm32h7_rcc.h"

void bsp_clock_init(void)
{
    /* SMPSEN alone: the core is fed by the step-down converter directly; scale 0. */
    stm32h7_power(0x3Fu, 4u);
    stm32h7_pll_on();
}
