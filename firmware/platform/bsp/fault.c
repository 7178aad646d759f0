/* Faults: what happened, told by a handler that does not trust the stack it came from. */
#include "bsp.h"

enum {
    AIRCR = 0xE000ED0C,
    CFSR = 0xE000ED28,
    HFSR = 0xE000ED2C,
    MMFAR = 0xE000ED34,
    BFAR = 0xE000ED38,
    CFSR_MMARVALID = 1 << 7,
    CFSR_BFARVALID = 1 << 15
};
enum { FRAME_WORDS = 8, FRAME_LR = 5, FRAME_PC = 6 };

__attribute__((noreturn, used)) void bsp_fault_main(const uint32_t *frame);

/* The old stack pointer is the argument; the stack itself starts over: nobody returns from here. */
__attribute__((naked, used)) void bsp_fault_entry(void)
{
    __asm__ volatile("mrs r0, msp\n\t"
                     "ldr r1, =bsp_stack_top\n\t"
                     "mov sp, r1\n\t"
                     "ldr r1, =bsp_fault_main\n\t"
                     "bx r1\n\t"
                     ".ltorg");
}

__attribute__((weak, alias("bsp_fault_entry"))) void bsp_interrupt(void);
__attribute__((weak, alias("bsp_fault_entry"))) void bsp_systick(void);

void bsp_fault_main(const uint32_t *frame)
{
    uint32_t exception;
    bsp_fault fault = {0, 0, 0, 0, 0, 0};
    __asm__ volatile("mrs %0, ipsr" : "=r"(exception));
    fault.kind = (uint8_t)(exception > 255u ? 255u : exception);
    /* As numbers: an address below the stack wraps and is out of bounds as well. */
    const uintptr_t depth = (uintptr_t)bsp_stack_top - (uintptr_t)frame;
    const uintptr_t size = (uintptr_t)bsp_stack_top - (uintptr_t)bsp_stack_low;
    if (depth >= 4 * FRAME_WORDS && depth <= size) {
        fault.lr = frame[FRAME_LR];
        fault.pc = frame[FRAME_PC];
    }
#if __ARM_ARCH >= 7
    fault.cfsr = BSP_REGISTER(CFSR);
    fault.hfsr = BSP_REGISTER(HFSR);
    if (fault.cfsr & CFSR_BFARVALID) {
        fault.bfar = BSP_REGISTER(BFAR);
    } else if (fault.cfsr & CFSR_MMARVALID) {
        fault.bfar = BSP_REGISTER(MMFAR);
    }
#endif
    bsp_on_fault(&fault);
}

void bsp_restart(void)
{
    bsp_uart_flush();
    __asm__ volatile("dsb" ::: "memory");
    BSP_REGISTER(AIRCR) = 0x05FA0004u; /* SYSRESETREQ */
    for (;;) {
    }
}

__attribute__((weak)) void bsp_idle(void)
{
}
