/* The reset and clock control that STM32F4 and F7 have in common; RM0383, RM0385. */
#ifndef STM32F4_RCC_H
#define STM32F4_RCC_H

#include "bsp.h"

enum {
    RCC = 0x40023800,
    RCC_CR = RCC + 0x00,
    RCC_PLLCFGR = RCC + 0x04,
    RCC_CFGR = RCC + 0x08,
    RCC_APB1ENR = RCC + 0x40,
    PWR_CR = 0x40007000,
    PWR_CSR = 0x40007004,
    FLASH_ACR = 0x40023C00
};

/* Field of an APB prescaler: 0 for 1, 4 to 7 for 2 to 16. */
#define APB_FIELD(divider) \
    ((divider) >= 16 ? 7u : (divider) >= 8 ? 6u : (divider) >= 4 ? 5u : (divider) >= 2 ? 4u : 0u)

/* PLL from HSI (16 MHz, on after reset); voltage scale 1, which is taken up when the PLL is on. */
static inline void stm32f4_pll_on(void)
{
    bsp_modify(RCC_APB1ENR, 0u, 1u << 28); /* PWREN */
    (void)BSP_REGISTER(RCC_APB1ENR);
    bsp_modify(PWR_CR, 0u, 3u << 14); /* VOS */
    BSP_REGISTER(RCC_PLLCFGR) = BOARD_CLOCK_PLL_M | BOARD_CLOCK_PLL_N << 6 |
                                (BOARD_CLOCK_PLL_P / 2u - 1u) << 16 | BOARD_CLOCK_PLL_Q << 24;
    bsp_modify(RCC_CR, 0u, 1u << 24);       /* PLLON */
    bsp_wait(RCC_CR, 1u << 25, 1u << 25);   /* PLLRDY */
}

/* Wait states and features of the flash first, then the faster clock. */
static inline void stm32f4_switch_to_pll(uint32_t flash_features)
{
    BSP_REGISTER(FLASH_ACR) = BOARD_CLOCK_FLASH_WAIT_STATES | flash_features;
    bsp_wait(FLASH_ACR, 0xFu, BOARD_CLOCK_FLASH_WAIT_STATES);
    bsp_modify(
        RCC_CFGR, 7u << 13 | 7u << 10 | 0xFu << 4,
        APB_FIELD(BOARD_CLOCK_APB2_DIVIDER) << 13 | APB_FIELD(BOARD_CLOCK_APB1_DIVIDER) << 10);
    bsp_modify(RCC_CFGR, 3u, 2u); /* SW: PLL */
    bsp_wait(RCC_CFGR, 3u << 2, 2u << 2);
}

#endif
