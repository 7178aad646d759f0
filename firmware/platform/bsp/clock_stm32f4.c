/* STM32F4 from HSI through the PLL; RM0383. */
#include "stm32f4_rcc.h"

void bsp_clock_init(void)
{
    stm32f4_pll_on();
    bsp_wait(PWR_CSR, 1u << 14, 1u << 14); /* VOSRDY */
    stm32f4_switch_to_pll(7u << 8);        /* prefetch, instruction and data cache */
}
