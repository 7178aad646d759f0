/* STM32L4+ from HSI16 through the PLL in range 1 boost mode; RM0432 5.1.8 and 6.2. */
#include "bsp.h"

enum {
    RCC = 0x40021000,
    RCC_CR = RCC + 0x00,
    RCC_CFGR = RCC + 0x08,
    RCC_PLLCFGR = RCC + 0x0C,
    RCC_APB1ENR1 = RCC + 0x58,
    PWR_CR5 = 0x40007080,
    FLASH_ACR = 0x40022000
};

void bsp_clock_init(void)
{
    bsp_modify(RCC_CR, 0u, 1u << 8);       /* HSION */
    bsp_wait(RCC_CR, 1u << 10, 1u << 10);  /* HSIRDY */
    bsp_modify(RCC_APB1ENR1, 0u, 1u << 28); /* PWREN */
    (void)BSP_REGISTER(RCC_APB1ENR1);
    bsp_modify(PWR_CR5, 1u << 8, 0u);      /* R1MODE: boost */

    /* Prefetch, instruction and data cache; enough wait states before the faster clock. */
    BSP_REGISTER(FLASH_ACR) = 7u << 8 | BOARD_CLOCK_FLASH_WAIT_STATES;
    bsp_wait(FLASH_ACR, 0xFu, BOARD_CLOCK_FLASH_WAIT_STATES);

    BSP_REGISTER(RCC_PLLCFGR) = 2u | (BOARD_CLOCK_PLL_M - 1u) << 4 | BOARD_CLOCK_PLL_N << 8 |
                                1u << 24 | (BOARD_CLOCK_PLL_R / 2u - 1u) << 25; /* HSI16; R on */
    bsp_modify(RCC_CR, 0u, 1u << 24);      /* PLLON */
    bsp_wait(RCC_CR, 1u << 25, 1u << 25);  /* PLLRDY */

    /* Above 80 MHz: through half of it for a microsecond at least. */
    bsp_modify(RCC_CFGR, 0xFu << 4, 8u << 4); /* HPRE: 2 */
    bsp_modify(RCC_CFGR, 3u, 3u);             /* SW: PLL */
    bsp_wait(RCC_CFGR, 3u << 2, 3u << 2);
    for (volatile uint32_t i = 0; i < 100; i++) {
    }
    bsp_modify(RCC_CFGR, 0xFu << 4, 0u);
}
