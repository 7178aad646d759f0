/* CMSDK APB UART of Arm's FPGA images (DDI 0479, 4.3), as QEMU models it. Received by interrupt into a
 * ring, sleeping in between: under QEMU a polling loop holds the lock that the arriving bytes need. */
#include "bsp.h"

enum {
    DATA = BOARD_UART_BASE + 0x00,
    STATE = BOARD_UART_BASE + 0x04,
    CTRL = BOARD_UART_BASE + 0x08,
    INTCLEAR = BOARD_UART_BASE + 0x0C,
    BAUDDIV = BOARD_UART_BASE + 0x10,
    STATE_TX_FULL = 1,
    STATE_RX_FULL = 2,
    NVIC_ISER = 0xE000E100,
    RING_BYTES = 2048
};

static volatile uint8_t ring[RING_BYTES];
static volatile uint32_t written, taken;

void bsp_uart_init(void)
{
    BSP_REGISTER(BAUDDIV) = BOARD_UART_CLOCK_HZ / BOARD_UART_BAUD;
    BSP_REGISTER(CTRL) = 1u | 1u << 1 | 1u << 3; /* transmit, receive, receive interrupt */
    BSP_REGISTER(NVIC_ISER + 4u * (BOARD_UART_IRQ / 32u)) = 1u << BOARD_UART_IRQ % 32u;
    __asm__ volatile("cpsie i" ::: "memory");
}

static void receive(void)
{
    BSP_REGISTER(INTCLEAR) = 1u << 1;
    while (BSP_REGISTER(STATE) & STATE_RX_FULL) {
        const uint8_t byte = (uint8_t)BSP_REGISTER(DATA);
        if (written - taken < RING_BYTES) { /* a lost byte makes a bad frame, which is sent again */
            ring[written % RING_BYTES] = byte;
            written = written + 1;
        }
    }
}

static uint32_t exception(void)
{
    uint32_t number;
    __asm__ volatile("mrs %0, ipsr" : "=r"(number));
    return number;
}

/* No other interrupt is enabled. */
void bsp_interrupt(void)
{
    receive();
}

int bsp_uart_read(void)
{
    if (exception() != 0) { /* in a fault handler no interrupt comes */
        receive();
    }
    if (written == taken) {
        return -1;
    }
    const int byte = ring[taken % RING_BYTES];
    taken = taken + 1;
    return byte;
}

void bsp_uart_write(uint8_t byte)
{
    bsp_wait(STATE, STATE_TX_FULL, 0);
    BSP_REGISTER(DATA) = byte;
}

void bsp_uart_flush(void)
{
    bsp_wait(STATE, STATE_TX_FULL, 0);
}

void bsp_idle(void)
{
    if (exception() == 0) {
        __asm__ volatile("cpsid i" ::: "memory");
        if (written == taken) {
            __asm__ volatile("wfi" ::: "memory"); /* a pending interrupt wakes it all the same */
        }
        __asm__ volatile("cpsie i" ::: "memory");
    }
}
