/* STM32G0 from HSI16 (on after reset) through the PLL in voltage range 1 (that of reset); RM0444,
 * chapters FLASH and RCC. */
#include "bsp.h"

enum {
    RCC = 0x40021000,
    RCC_CR = RCC + 0x00,
    RCC_CFGR = RCC + 0x08,
    RCC_PLLCFGR = RCC + 0x0C,
    FLASH_ACR = 0x40022000
};

void bsp_clock_init(void)
{
    /* Prefetch and instruction cache; enough wait states before the faster clock. */
    bsp_modify(FLASH_ACR, 7u, 3u << 8 | BOARD_CLOCK_FLASH_WAIT_STATES);
    bsp_wait(FLASH_ACR, 7u, BOARD_CLOCK_FLASH_WAIT_STATES);

    BSP_REGISTER(RCC_PLLCFGR) = 2u | (BOARD_CLOCK_PLL_M - 1u) << 4 | BOARD_CLOCK_PLL_N << 8 |
                                1u << 28 | (BOARD_CLOCK_PLL_R - 1u) << 29; /* HSI16; R on */
    bsp_modify(RCC_CR, 0u, 1u << 24);      /* PLLON */
    bsp_wait(RCC_CR, 1u << 25, 1u << 25);  /* PLLRDY */
    bsp_modify(RCC_CFGR, 7u, 2u);          /* SW: PLLRCLK */
    bsp_wait(RCC_CFGR, 7u << 3, 2u << 3);
}
