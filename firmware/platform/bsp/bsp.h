/* Board support: start-up, clock, UART, cycle counter, faults. One clock and one UART driver are
 * compiled in, as board_config.h (made from the board's TOML file) says. */
#ifndef BSP_H
#define BSP_H

#include "board_config.h"

#include <stdint.h>

#define BSP_REGISTER(address) (*(volatile uint32_t *)(uintptr_t)(address))

static inline void bsp_modify(uint32_t address, uint32_t clear, uint32_t set)
{
    BSP_REGISTER(address) = (BSP_REGISTER(address) & ~clear) | set;
}

static inline void bsp_wait(uint32_t address, uint32_t mask, uint32_t value)
{
    while ((BSP_REGISTER(address) & mask) != value) {
    }
}

/* From the linker script. The stack lies at the low end of the RAM. */
extern uint32_t bsp_stack_low[], bsp_stack_top[];

/* ---- drivers ---- */

/* Brings the core to BOARD_CLOCK_HZ, with the voltage and flash wait states that this needs. */
void bsp_clock_init(void);

/* The UART at BOARD_UART_BAUD, 8 data bits, no parity, 1 stop bit. */
void bsp_uart_init(void);
int bsp_uart_read(void); /* the next byte received, -1 where there is none; works in fault handlers */
void bsp_uart_write(uint8_t byte); /* waits until there is room */
void bsp_uart_flush(void);         /* waits until everything is out */

/* Handlers of all external interrupts and of SysTick. A driver that uses one defines it; otherwise an
 * interrupt is a fault. */
void bsp_interrupt(void);
void bsp_systick(void);

void bsp_cycles_init(void);
int bsp_cycles_present(void);
uint32_t bsp_cycles(void); /* core cycles modulo 2^32 */

/* ---- the firmware ---- */

/* Leaves the core to idle until something may have been received. */
void bsp_idle(void);
__attribute__((noreturn)) void bsp_restart(void);

/* Registers that the core lacks are 0; `bfar` is the address at fault where the core knows it. */
typedef struct {
    uint32_t pc, lr, cfsr, hfsr, bfar;
    uint8_t kind; /* number of the exception */
} bsp_fault;

/* Called, in the handler and on a fresh stack, when a fault happened. Defined by the firmware. */
__attribute__((noreturn)) void bsp_on_fault(const bsp_fault *fault);

int main(void);

#endif
