/* Cycle counter made of SysTick, for cores without a DWT counter: 24 bits that count down, and an
 * interrupt for the rest. */
#include "bsp.h"

enum { SYST_CSR = 0xE000E010, SYST_RVR = 0xE000E014, SYST_CVR = 0xE000E018, PERIOD_BITS = 24 };
#define RELOAD ((1u << PERIOD_BITS) - 1u)

static volatile uint32_t periods;

void bsp_systick(void)
{
    periods++;
}

void bsp_cycles_init(void)
{
    BSP_REGISTER(SYST_RVR) = RELOAD;
    BSP_REGISTER(SYST_CVR) = 0;
    BSP_REGISTER(SYST_CSR) = 7u; /* core clock, interrupt, on */
}

int bsp_cycles_present(void)
{
    return 1;
}

uint32_t bsp_cycles(void)
{
    uint32_t before, ticks;
    do { /* again where a period ended in between */
        before = periods;
        ticks = RELOAD - BSP_REGISTER(SYST_CVR);
    } while (before != periods);
    return (before << PERIOD_BITS) + ticks;
}
