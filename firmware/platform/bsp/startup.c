/* Vector table, and the way from reset to main. */
#include "bsp.h"

#include <string.h>

enum { VTOR = 0xE000ED08, CPACR = 0xE000ED88, SHCSR = 0xE000ED24 };

extern uint8_t bsp_data_load[], bsp_data_start[], bsp_data_end[], bsp_bss_start[], bsp_bss_end[];

__attribute__((noreturn)) void bsp_reset(void);
void bsp_fault_entry(void);

typedef void (*vector)(void);

__attribute__((section(".vectors"), used, aligned(2048))) const vector bsp_vectors[] = {
    (vector)(uintptr_t)bsp_stack_top,
    bsp_reset,
    bsp_fault_entry, /* NMI */
    bsp_fault_entry, /* HardFault */
    bsp_fault_entry, /* MemManage */
    bsp_fault_entry, /* BusFault */
    bsp_fault_entry, /* UsageFault */
    bsp_fault_entry, /* SecureFault */
    bsp_fault_entry,
    bsp_fault_entry,
    bsp_fault_entry,
    bsp_fault_entry, /* SVCall */
    bsp_fault_entry, /* DebugMonitor */
    bsp_fault_entry,
    bsp_fault_entry, /* PendSV */
    bsp_systick,
    [16 ... 15 + BOARD_INTERRUPTS] = bsp_interrupt,
};

#if defined(BOARD_L1_CACHES)
/* Armv7-M ARM (DDI 0403) B2.2.7: invalidate each cache, then enable it. */
static void enable_caches(void)
{
    enum {
        CCR = 0xE000ED14,
        CCSIDR = 0xE000ED80,
        CSSELR = 0xE000ED84,
        ICIALLU = 0xE000EF50,
        DCISW = 0xE000EF60,
        CCR_DC = 1 << 16,
        CCR_IC = 1 << 17
    };
    BSP_REGISTER(ICIALLU) = 0;
    __asm__ volatile("dsb\n\tisb" ::: "memory");
    BSP_REGISTER(CSSELR) = 0; /* level 1, data */
    __asm__ volatile("dsb" ::: "memory");
    const uint32_t geometry = BSP_REGISTER(CCSIDR);
    const uint32_t last_set = geometry >> 13 & 0x7FFFu, last_way = geometry >> 3 & 0x3FFu;
    const uint32_t set_shift = (geometry & 7u) + 4u;
    uint32_t way_shift = 32; /* ways are numbered in the highest bits */
    while (way_shift > 0 && last_way >> (32 - way_shift) != 0) {
        way_shift--;
    }
    for (uint32_t set = 0; set <= last_set; set++) {
        for (uint32_t way = 0; way <= last_way; way++) {
            BSP_REGISTER(DCISW) = (last_way ? way << way_shift : 0) | set << set_shift;
        }
    }
    __asm__ volatile("dsb" ::: "memory");
    BSP_REGISTER(CCR) |= CCR_DC | CCR_IC;
    __asm__ volatile("dsb\n\tisb" ::: "memory");
}
#endif

/* Apart from bsp_reset so that no floating-point or vector register is touched before it is on. */
__attribute__((noreturn, noinline, used)) static void start(void)
{
    static const uint32_t enables[][2] = BOARD_ENABLES;
    bsp_clock_init();
#if defined(BOARD_L1_CACHES)
    enable_caches();
#endif
    for (uint32_t i = 0; i < sizeof enables / sizeof enables[0]; i++) {
        if (enables[i][0] != 0) {
            BSP_REGISTER(enables[i][0]) |= 1u << enables[i][1];
            (void)BSP_REGISTER(enables[i][0]); /* the clock runs when the read is back */
        }
    }
    memcpy(bsp_data_start, bsp_data_load, (size_t)(bsp_data_end - bsp_data_start));
    memset(bsp_bss_start, 0, (size_t)(bsp_bss_end - bsp_bss_start));
    bsp_uart_init();
    bsp_cycles_init();
    (void)main();
    for (;;) {
    }
}

__attribute__((noreturn)) void bsp_reset(void)
{
    BSP_REGISTER(VTOR) = (uint32_t)(uintptr_t)bsp_vectors;
#if __ARM_ARCH >= 7
    BSP_REGISTER(SHCSR) |= 7u << 16; /* MemManage, BusFault and UsageFault of their own */
#endif
#if defined(__ARM_FP) || defined(__ARM_FEATURE_MVE)
    BSP_REGISTER(CPACR) |= 0xFu << 20; /* CP10 and CP11 */
    __asm__ volatile("dsb\n\tisb" ::: "memory");
#endif
#if __ARM_ARCH >= 8
    __asm__ volatile("msr msplim, %0" ::"r"(bsp_stack_low));
#endif
    start();
}
