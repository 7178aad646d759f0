/* Answers one-byte commands, each of which exercises one thing of the virtual board. */
#include "start.h"

extern uint32_t data_load[], data_start[], data_end[];

static volatile uint32_t ticks, irq_bytes, sink;
static uint32_t fault_frame[8], fault_ipsr, fault_return;
static uint8_t buffer[64] __attribute__((aligned(8)));

typedef void (*handler)(void);
__attribute__((section(".vectors"), used)) static const handler vectors[16 + 96] = {
    (handler)stack_top, Reset_Handler, 0, HardFault_Handler,
    [15] = SysTick_Handler,
    [16 + 39] = Uart_Handler,
    [16 + 70] = Uart_Handler,
};

void SysTick_Handler(void)
{
    ticks++;
}

void Uart_Handler(void)
{
    int byte = get();
    irq_bytes++;
    put((uint8_t)(byte + 1));
}

__attribute__((used)) static void fault(const uint32_t *frame, uint32_t exc_return)
{
    for (int i = 0; i < 8; i++) {
        fault_frame[i] = frame[i];
    }
    fault_return = exc_return;
    __asm volatile("mrs %0, ipsr" : "=r"(fault_ipsr));
    put('!');
    put_word(fault_frame[6]);
    put_word(fault_ipsr);
    put_word(REG(0xE000ED28));
    put_word(REG(0xE000ED2C));
    put_word(REG(0xE000ED38));
    put_word(fault_return);
    for (;;) {
        if (wait() == 'R') {
            REG(0xE000ED0C) = 0x05FA0004;
        }
    }
}

__attribute__((naked)) void HardFault_Handler(void)
{
    __asm volatile("mrs r0, msp\n mov r1, lr\n b fault");
}

__attribute__((noinline)) uint32_t spin(uint32_t n) /* per round: 4 instructions */
{
    uint32_t sum = 0;
    __asm volatile("1: add %0, %1\n subs %1, #1\n nop\n bne 1b" : "+r"(sum), "+r"(n)::"cc");
    return sum;
}

__attribute__((noinline, section(".ramcode"))) static uint32_t in_ram(uint32_t x)
{
    return 3 * x + 1;
}

__attribute__((noinline)) static uint32_t with_it(uint32_t x)
{
    uint32_t result;
    __asm volatile("mov %0, #0\n cmp %1, #5\n ite hi\n addhi %0, #1\n addls %0, #2\n"
                   "itt hi\n addhi %0, #4\n addhi %0, #8"
                   : "=&r"(result)
                   : "r"(x)
                   : "cc");
    return result;
}

static uint32_t timed(uint32_t (*function)(uint32_t), uint32_t argument)
{
    uint32_t start = CYCCNT;
    sink = function(argument);
    return CYCCNT - start;
}

static void command(uint8_t what)
{
    switch (what) {
    case 'e': /* echo a word */
        put_word(wait_word());
        break;
    case 't': { /* instructions of n rounds */
        uint32_t n = wait_word();
        put_word(timed(spin, n));
        break;
    }
    case 'n': { /* reads within one block */
        uint32_t a, b, c;
        __asm volatile("ldr %0, [%3]\n nop\n nop\n nop\n ldr %1, [%3]\n mov.w r0, #1\n ldr %2, [%3]"
                       : "=&r"(a), "=&r"(b), "=&r"(c)
                       : "r"(0xE0001004)
                       : "r0");
        put_word(b - a);
        put_word(c - b);
        break;
    }
    case 'i':
        put_word(with_it(wait_word()));
        break;
    case 'f': { /* floating point across an interrupt */
        float x = 1.5f;
        REG(0xE000E014) = 999;
        REG(0xE000E018) = 0;
        REG(0xE000E010) = 7;
        for (uint32_t i = 0; i < 1000; i++) {
            x = x * 1.0001f + 0.001f;
        }
        REG(0xE000E010) = 0;
        put_word(ticks);
        union { float f; uint32_t u; } bits = {x};
        put_word(bits.u);
        break;
    }
    case 'm': /* execute from RAM, where that is code */
        put_word(in_ram(wait_word()));
        break;
    case 'w': { /* sleep until SysTick */
        uint32_t before = ticks;
        REG(0xE000E014) = 9999;
        REG(0xE000E018) = 0;
        REG(0xE000E010) = 7;
        uint32_t start = CYCCNT;
        while (ticks < before + 3) {
            __asm volatile("wfi");
        }
        put_word(CYCCNT - start);
        REG(0xE000E010) = 0;
        break;
    }
    case 'd': { /* an interrupt that comes while masked is taken afterwards */
        uint32_t before = ticks;
        __asm volatile("cpsid i" ::: "memory");
        REG(0xE000E014) = 99;
        REG(0xE000E018) = 0;
        REG(0xE000E010) = 7;
        sink = spin(1000);
        put_word(ticks - before);
        REG(0xE000E010) = 0;
        __asm volatile("cpsie i" ::: "memory");
        sink = spin(1000);
        put_word(ticks - before);
        break;
    }
    case 'q': /* bytes by interrupt, until one is z */
        REG(UART + USART_CR1) |= 0x20;
        REG(0xE000E100 + 4 * (UART_IRQ / 32)) = 1u << UART_IRQ % 32;
        irq_bytes = 0;
        while (irq_bytes < 4) {
            __asm volatile("wfi");
        }
        REG(UART + USART_CR1) &= ~0x20u;
        put_word(irq_bytes);
        break;
    case 'r': /* read, write, jump where told */
        put_word(REG(wait_word()));
        break;
    case 's': {
        uint32_t address = wait_word();
        REG(address) = 0x12345678;
        put_word(0);
        break;
    }
    case 'j':
        ((handler)wait_word())();
        put_word(0);
        break;
    case 'u': { /* LDRD at buffer + n */
        uint32_t low, high;
        uint8_t *address = buffer + wait_word();
        __asm volatile(".global planted\nplanted: ldrd %0, %1, [%2]"
                       : "=r"(low), "=r"(high)
                       : "r"(address));
        put_word(low + high);
        break;
    }
    case 'l': { /* LDR at buffer + n: allowed anywhere */
        uint8_t *address = buffer + wait_word();
        put_word(*(volatile uint32_t *)address);
        break;
    }
    case 'p': { /* LDM through a pointer that is loaded in the same block */
        uint8_t *volatile pointer = buffer + wait_word();
        uint32_t base, a, b;
        __asm volatile("ldr %0, %3\n ldmia %0, {r2, r3}\n mov %1, r2\n mov %2, r3"
                       : "=&r"(base), "=&r"(a), "=&r"(b)
                       : "m"(pointer)
                       : "r2", "r3");
        put_word(a + b);
        break;
    }
    case 'x':
        __asm volatile("udf #7");
        break;
    case 'k': /* a stack that leads nowhere */
        __asm volatile("mov sp, %0\n udf #1" ::"r"(0x10000000));
        break;
    default:
        put('?');
    }
}

void test_main(void)
{
    for (;;) {
        command(wait());
    }
}

void Reset_Handler(void)
{
    for (uint32_t *from = data_load, *to = data_start; to < data_end;) {
        *to++ = *from++;
    }
    ticks = 0;
    REG(0xE000EDFC) |= 1u << 24;
    REG(0xE0001000) |= 1;
#ifdef __ARM_FP
    if (!NO_FPU) {
        REG(0xE000ED88) |= 0xFu << 20;
        __asm volatile("dsb\n isb");
    }
#endif
    put('+');
    test_main();
    for (;;) {
    }
}
