/* USART of STM32F1, F2 and F4 (SR, DR); RM0383 chapter 19. Polled: the host sends a frame and waits
 * for the answer, and between bytes at 115200 baud there are thousands of cycles. */
#include "stm32_gpio.h"

enum {
    SR = BOARD_UART_BASE + 0x00,
    DR = BOARD_UART_BASE + 0x04,
    BRR = BOARD_UART_BASE + 0x08,
    CR1 = BOARD_UART_BASE + 0x0C,
    SR_RXNE = 1 << 5,
    SR_TC = 1 << 6,
    SR_TXE = 1 << 7
};

void bsp_uart_init(void)
{
    stm32_uart_pins();
    BSP_REGISTER(BRR) = (BOARD_UART_CLOCK_HZ + BOARD_UART_BAUD / 2u) / BOARD_UART_BAUD;
    BSP_REGISTER(CR1) = 1u << 13 | 1u << 3 | 1u << 2; /* UE, TE, RE */
}

int bsp_uart_read(void)
{
    /* Reading DR after SR clears an overrun as well. */
    return BSP_REGISTER(SR) & SR_RXNE ? (int)(BSP_REGISTER(DR) & 0xFFu) : -1;
}

void bsp_uart_write(uint8_t byte)
{
    bsp_wait(SR, SR_TXE, SR_TXE);
    BSP_REGISTER(DR) = byte;
}

void bsp_uart_flush(void)
{
    bsp_wait(SR, SR_TC, SR_TC);
}
