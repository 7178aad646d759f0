/* PL011 (DDI 0183) on pins of RP2040 or RP2350. Polled; its FIFO holds 32 bytes. */
#include "rp2_resets.h"

enum {
    DR = BOARD_UART_BASE + 0x00,
    FR = BOARD_UART_BASE + 0x18,
    IBRD = BOARD_UART_BASE + 0x24,
    FBRD = BOARD_UART_BASE + 0x28,
    LCR_H = BOARD_UART_BASE + 0x2C,
    CR = BOARD_UART_BASE + 0x30,
    FR_BUSY = 1 << 3,
    FR_RXFE = 1 << 4,
    FR_TXFF = 1 << 5,
    /* Pads: input on, 4 mA, Schmitt trigger; not isolated (RP2350's bit 8). */
    PAD = 1 << 6 | 1 << 4 | 1 << 1,
    PAD_PULL_UP = 1 << 3
};

static void pin(uint32_t number, uint32_t pad)
{
    BSP_REGISTER(BOARD_UART_PADS + 4u + 4u * number) = pad;
    BSP_REGISTER(BOARD_UART_IO + 4u + 8u * number) = BOARD_UART_FUNCTION; /* GPIOn_CTRL */
}

void bsp_uart_init(void)
{
    const uint32_t divisor = /* in 64ths of 16 clocks */
        (uint32_t)((4ull * BOARD_UART_CLOCK_HZ + BOARD_UART_BAUD / 2u) / BOARD_UART_BAUD);
    rp2_out_of_reset(BOARD_UART_RESETS, BOARD_UART_RESET_BITS);
    pin(BOARD_UART_TX_PIN, PAD);
    pin(BOARD_UART_RX_PIN, PAD | PAD_PULL_UP);
    BSP_REGISTER(IBRD) = divisor >> 6;
    BSP_REGISTER(FBRD) = divisor & 63u;
    BSP_REGISTER(LCR_H) = 3u << 5 | 1u << 4;      /* 8 bits, FIFO; takes over the divisors */
    BSP_REGISTER(CR) = 1u << 9 | 1u << 8 | 1u;    /* RXE, TXE, UARTEN */
}

int bsp_uart_read(void)
{
    return BSP_REGISTER(FR) & FR_RXFE ? -1 : (int)(BSP_REGISTER(DR) & 0xFFu);
}

void bsp_uart_write(uint8_t byte)
{
    bsp_wait(FR, FR_TXFF, 0u);
    BSP_REGISTER(DR) = byte;
}

void bsp_uart_flush(void)
{
    bsp_wait(FR, FR_BUSY, 0u);
}
