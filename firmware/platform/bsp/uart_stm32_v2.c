/* USART and LPUART of STM32F7, H7, L4, G0, U5 (ISR, RDR, TDR); RM0433 chapters 48 and 49. Polled: the
 * host sends a frame and waits for the answer, and between bytes at 115200 baud there are thousands of
 * cycles. */
#include "stm32_gpio.h"

enum {
    CR1 = BOARD_UART_BASE + 0x00,
    BRR = BOARD_UART_BASE + 0x0C,
    ISR = BOARD_UART_BASE + 0x1C,
    ICR = BOARD_UART_BASE + 0x20,
    RDR = BOARD_UART_BASE + 0x24,
    TDR = BOARD_UART_BASE + 0x28,
    ISR_ERRORS = 0xF, /* parity, framing, noise, overrun: the same bits clear them in ICR */
    ISR_RXNE = 1 << 5,
    ISR_TC = 1 << 6,
    ISR_TXE = 1 << 7
};

void bsp_uart_init(void)
{
    const uint64_t scale = BOARD_UART_LOW_POWER ? 256u : 1u; /* LPUART counts in 256ths */
    stm32_uart_pins();
    BSP_REGISTER(BRR) =
        (uint32_t)((scale * BOARD_UART_CLOCK_HZ + BOARD_UART_BAUD / 2u) / BOARD_UART_BAUD);
    BSP_REGISTER(CR1) = 1u << 3 | 1u << 2 | 1u; /* TE, RE, UE */
}

int bsp_uart_read(void)
{
    const uint32_t status = BSP_REGISTER(ISR);
    if (status & ISR_ERRORS) {
        BSP_REGISTER(ICR) = status & ISR_ERRORS;
    }
    return status & ISR_RXNE ? (int)(BSP_REGISTER(RDR) & 0xFFu) : -1;
}

void bsp_uart_write(uint8_t byte)
{
    bsp_wait(ISR, ISR_TXE, ISR_TXE);
    BSP_REGISTER(TDR) = byte;
}

void bsp_uart_flush(void)
{
    bsp_wait(ISR, ISR_TC, ISR_TC);
}
