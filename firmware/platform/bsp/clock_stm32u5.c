/* STM32U57x/58x from HSI16 through PLL1 in voltage range 1 with the EPOD booster, instruction cache on;
 * RM0456, chapters PWR, RCC and ICACHE. The LDO, which is on after reset, feeds the core. */
#include "bsp.h"

enum {
    RCC = 0x46020C00,
    RCC_CR = RCC + 0x00,
    RCC_CFGR1 = RCC + 0x1C,
    RCC_PLL1CFGR = RCC + 0x28,
    RCC_PLL1DIVR = RCC + 0x34,
    RCC_AHB3ENR = RCC + 0x94,
    PWR_VOSR = 0x4602080C,
    FLASH_ACR = 0x40022000,
    ICACHE_CR = 0x40030400,
    ICACHE_SR = 0x40030404,
    VOS_READY = 1 << 15 | 1 << 14 /* VOSRDY, BOOSTRDY */
};

void bsp_clock_init(void)
{
    bsp_modify(RCC_CR, 0u, 1u << 8);       /* HSION */
    bsp_wait(RCC_CR, 1u << 10, 1u << 10);  /* HSIRDY */
    bsp_modify(RCC_AHB3ENR, 0u, 1u << 2);  /* PWREN */
    (void)BSP_REGISTER(RCC_AHB3ENR);

    /* Source HSI16, which the booster takes undivided (MBOOST 0); input of 8 to 16 MHz; output R. */
    BSP_REGISTER(RCC_PLL1CFGR) = 2u | 3u << 2 | (BOARD_CLOCK_PLL_M - 1u) << 8 | 1u << 18;
    bsp_modify(PWR_VOSR, 0u, 3u << 16 | 1u << 18); /* range 1, BOOSTEN */
    bsp_wait(PWR_VOSR, VOS_READY, VOS_READY);

    BSP_REGISTER(FLASH_ACR) = 1u << 8 | BOARD_CLOCK_FLASH_WAIT_STATES; /* prefetch */
    bsp_wait(FLASH_ACR, 0xFu, BOARD_CLOCK_FLASH_WAIT_STATES);

    bsp_modify(RCC_PLL1DIVR, 0x1FFu | 0x7Fu << 24,
               (BOARD_CLOCK_PLL_N - 1u) | (BOARD_CLOCK_PLL_R - 1u) << 24);
    bsp_modify(RCC_CR, 0u, 1u << 24);      /* PLL1ON */
    bsp_wait(RCC_CR, 1u << 25, 1u << 25);  /* PLL1RDY */
    bsp_modify(RCC_CFGR1, 3u, 3u);         /* SW: PLL1 */
    bsp_wait(RCC_CFGR1, 3u << 2, 3u << 2);

    bsp_wait(ICACHE_SR, 1u, 0u);           /* BUSYF: it invalidates itself after reset */
    bsp_modify(ICACHE_CR, 0u, 1u);         /* EN, two ways */
}
