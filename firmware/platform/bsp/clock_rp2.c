/* RP2040 and RP2350 from the crystal of 12 MHz through PLL_SYS, at the core voltage of reset; RP2040 data
 * sheet 2.15 to 2.18, RP2350 data sheet 8.1, 8.2 and 8.6. The blocks are the same at other addresses. */
#include "rp2_resets.h"

enum {
    XOSC_CTRL = BOARD_CLOCK_XOSC + 0x00,
    XOSC_STATUS = BOARD_CLOCK_XOSC + 0x04,
    XOSC_STARTUP = BOARD_CLOCK_XOSC + 0x0C,
    PLL_CS = BOARD_CLOCK_PLL_SYS + 0x00,
    PLL_PWR = BOARD_CLOCK_PLL_SYS + 0x04,
    PLL_FBDIV_INT = BOARD_CLOCK_PLL_SYS + 0x08,
    PLL_PRIM = BOARD_CLOCK_PLL_SYS + 0x0C,
    CLK_REF_CTRL = BOARD_CLOCK_CLOCKS + 0x30,
    CLK_REF_SELECTED = BOARD_CLOCK_CLOCKS + 0x38,
    CLK_SYS_CTRL = BOARD_CLOCK_CLOCKS + 0x3C,
    CLK_SYS_SELECTED = BOARD_CLOCK_CLOCKS + 0x44,
    CLK_PERI_CTRL = BOARD_CLOCK_CLOCKS + 0x48,
    PWR_PD = 1 << 0,
    PWR_POSTDIVPD = 1 << 3,
    PWR_VCOPD = 1 << 5
};

void bsp_clock_init(void)
{
    BSP_REGISTER(XOSC_STARTUP) = BOARD_CLOCK_XOSC_STARTUP;
    BSP_REGISTER(XOSC_CTRL) = 0xFABu << 12 | 0xAA0u; /* on, 1 to 15 MHz */
    bsp_wait(XOSC_STATUS, 1u << 31, 1u << 31);       /* STABLE */

    /* Away from the PLL, which may run after a warm start. */
    bsp_modify(CLK_SYS_CTRL, 1u, 0u);                /* from clk_ref */
    bsp_wait(CLK_SYS_SELECTED, 1u, 1u);
    bsp_modify(CLK_REF_CTRL, 3u, 2u);                /* from the crystal */
    bsp_wait(CLK_REF_SELECTED, 1u << 2, 1u << 2);

    bsp_modify(BOARD_CLOCK_RESETS, 0u, 1u << BOARD_CLOCK_PLL_RESET_BIT);
    rp2_out_of_reset(BOARD_CLOCK_RESETS, 1u << BOARD_CLOCK_PLL_RESET_BIT);
    BSP_REGISTER(PLL_CS) = BOARD_CLOCK_PLL_REFDIV;
    BSP_REGISTER(PLL_FBDIV_INT) = BOARD_CLOCK_PLL_FBDIV;
    bsp_modify(PLL_PWR, PWR_PD | PWR_VCOPD, 0u);
    bsp_wait(PLL_CS, 1u << 31, 1u << 31);            /* LOCK */
    BSP_REGISTER(PLL_PRIM) = BOARD_CLOCK_PLL_POSTDIV1 << 16 | BOARD_CLOCK_PLL_POSTDIV2 << 12;
    bsp_modify(PLL_PWR, PWR_POSTDIVPD, 0u);

    bsp_modify(CLK_SYS_CTRL, 7u << 5, 0u);           /* auxiliary source: PLL_SYS */
    bsp_modify(CLK_SYS_CTRL, 0u, 1u);
    bsp_wait(CLK_SYS_SELECTED, 2u, 2u);
    BSP_REGISTER(CLK_PERI_CTRL) = 1u << 11;          /* on, from clk_sys */
}
