/* STM32F74x/75x from HSI through the PLL with over-drive; RM0385 4.1.4. */
#include "stm32f4_rcc.h"

void bsp_clock_init(void)
{
    stm32f4_pll_on();
    bsp_modify(PWR_CR, 0u, 1u << 16);      /* ODEN */
    bsp_wait(PWR_CSR, 1u << 16, 1u << 16); /* ODRDY */
    bsp_modify(PWR_CR, 0u, 1u << 17);      /* ODSWEN */
    bsp_wait(PWR_CSR, 1u << 17, 1u << 17); /* ODSWRDY */
    bsp_wait(PWR_CSR, 1u << 14, 1u << 14); /* VOSRDY */
    stm32f4_switch_to_pll(3u << 8);        /* prefetch, ART accelerator */
}
