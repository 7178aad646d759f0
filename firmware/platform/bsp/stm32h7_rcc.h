/* The clock tree that STM32H74x/75x and STM32H7Ax/7Bx have in common, from HSI (64 MHz, on after reset)
 * through PLL1; RM0433 and RM0455, which name the domains' prescalers differently. */
#ifndef STM32H7_RCC_H
#define STM32H7_RCC_H

#include "bsp.h"

enum {
    RCC = 0x58024400,
    RCC_CR = RCC + 0x00,
    RCC_CFGR = RCC + 0x10,
    RCC_D1CFGR = RCC + 0x18, /* CDCFGR1 on H7Ax */
    RCC_D2CFGR = RCC + 0x1C, /* CDCFGR2 */
    RCC_D3CFGR = RCC + 0x20, /* SRDCFGR */
    RCC_PLLCKSELR = RCC + 0x28,
    RCC_PLLCFGR = RCC + 0x2C,
    RCC_PLL1DIVR = RCC + 0x30,
    PWR = 0x58024800,
    PWR_CSR1 = PWR + 0x04,
    PWR_CR3 = PWR + 0x0C,
    PWR_D3CR = PWR + 0x18, /* SRDCR */
    FLASH_ACR = 0x52002000
};

/* Fields of prescalers: AHB 0 for 1, 8 to 11 for 2 to 16; APB 0 for 1, 4 to 7 for 2 to 16. */
#define LOG2(divider) ((divider) >= 16 ? 4u : (divider) >= 8 ? 3u : (divider) >= 4 ? 2u : 1u)
#define AHB_FIELD(divider) ((divider) == 1 ? 0u : 7u + LOG2(divider))
#define APB_FIELD(divider) ((divider) == 1 ? 0u : 3u + LOG2(divider))

/* Where the core's supply comes from (`supply` in the bits of `mask`): to be written once after
 * power-on, before the voltage scale may change. Then the highest scale. */
static inline void stm32h7_power(uint32_t mask, uint32_t supply)
{
    bsp_modify(PWR_CR3, mask, supply);
    bsp_wait(PWR_CSR1, 1u << 13, 1u << 13); /* ACTVOSRDY */
    bsp_modify(PWR_D3CR, 0u, 3u << 14);     /* VOS */
    bsp_wait(PWR_D3CR, 1u << 13, 1u << 13); /* VOSRDY */
}

/* Wait states of the flash first, then PLL1, the buses, and the faster clock. */
static inline void stm32h7_pll_on(void)
{
    const uint32_t flash =
        BOARD_CLOCK_FLASH_WAIT_STATES | BOARD_CLOCK_FLASH_PROGRAMMING_DELAY << 4;
    bsp_modify(FLASH_ACR, 0x3Fu, flash);
    bsp_wait(FLASH_ACR, 0x3Fu, flash);

    bsp_modify(RCC_PLLCKSELR, 0x3F3u, BOARD_CLOCK_PLL_M << 4); /* source 0: HSI */
    /* PLL1: input range, wide VCO, no fraction; output P only. */
    bsp_modify(RCC_PLLCFGR, 7u << 16 | 0xFu, 1u << 16 | BOARD_CLOCK_PLL_INPUT_RANGE << 2);
    bsp_modify(RCC_PLL1DIVR, 0xFFFFu, (BOARD_CLOCK_PLL_P - 1u) << 9 | (BOARD_CLOCK_PLL_N - 1u));
    bsp_modify(RCC_CR, 0u, 1u << 24);        /* PLL1ON */
    bsp_wait(RCC_CR, 1u << 25, 1u << 25);    /* PLL1RDY */

    const uint32_t apb = APB_FIELD(BOARD_CLOCK_APB_DIVIDER);
    BSP_REGISTER(RCC_D1CFGR) = apb << 4 | AHB_FIELD(BOARD_CLOCK_AHB_DIVIDER);
    BSP_REGISTER(RCC_D2CFGR) = apb << 8 | apb << 4;
    BSP_REGISTER(RCC_D3CFGR) = apb << 4;
    bsp_modify(RCC_CFGR, 7u, 3u);            /* system clock: PLL1 */
    bsp_wait(RCC_CFGR, 7u << 3, 3u << 3);
}

#endif
