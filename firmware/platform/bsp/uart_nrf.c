/* UART of nRF51 and nRF52, the one without DMA; nRF52840 product specification, chapter UART. Polled; it
 * keeps 6 received bytes. */
#include "bsp.h"

enum {
    TASKS_STARTRX = BOARD_UART_BASE + 0x000,
    TASKS_STARTTX = BOARD_UART_BASE + 0x008,
    EVENTS_RXDRDY = BOARD_UART_BASE + 0x108,
    EVENTS_TXDRDY = BOARD_UART_BASE + 0x11C,
    ENABLE = BOARD_UART_BASE + 0x500,
    PSEL_TXD = BOARD_UART_BASE + 0x50C,
    PSEL_RXD = BOARD_UART_BASE + 0x514,
    RXD = BOARD_UART_BASE + 0x518,
    TXD = BOARD_UART_BASE + 0x51C,
    BAUDRATE = BOARD_UART_BASE + 0x524,
    OUTSET = BOARD_UART_GPIO + 0x508,
    PIN_CNF = BOARD_UART_GPIO + 0x700
};

void bsp_uart_init(void)
{
    BSP_REGISTER(OUTSET) = 1u << BOARD_UART_TX_PIN;          /* idle is high */
    BSP_REGISTER(PIN_CNF + 4u * BOARD_UART_TX_PIN) = 3u;     /* output, input disconnected */
    BSP_REGISTER(PIN_CNF + 4u * BOARD_UART_RX_PIN) = 3u << 2; /* input with pull-up */
    BSP_REGISTER(PSEL_TXD) = BOARD_UART_TX_PIN;
    BSP_REGISTER(PSEL_RXD) = BOARD_UART_RX_PIN;
    /* In 2^-32 of the clock; the low 12 bits do not exist. */
    BSP_REGISTER(BAUDRATE) =
        (uint32_t)(((uint64_t)BOARD_UART_BAUD << 32) / BOARD_UART_CLOCK_HZ + 0x800u) & 0xFFFFF000u;
    BSP_REGISTER(ENABLE) = 4u;
    BSP_REGISTER(TASKS_STARTTX) = 1u;
    BSP_REGISTER(TASKS_STARTRX) = 1u;
}

int bsp_uart_read(void)
{
    if ((BSP_REGISTER(EVENTS_RXDRDY) & 1u) == 0) {
        return -1;
    }
    BSP_REGISTER(EVENTS_RXDRDY) = 0u; /* first: the event comes again when RXD gives way to the next */
    return (int)(BSP_REGISTER(RXD) & 0xFFu);
}

/* Until the byte is out: the event has to be seen before the next one. */
void bsp_uart_write(uint8_t byte)
{
    BSP_REGISTER(EVENTS_TXDRDY) = 0u;
    BSP_REGISTER(TXD) = byte;
    bsp_wait(EVENTS_TXDRDY, 1u, 1u);
}

void bsp_uart_flush(void)
{
}
