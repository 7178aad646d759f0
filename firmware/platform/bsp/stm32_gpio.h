/* Pins and clock gates of a UART on STM32F2 and later: every family has the same GPIO block. */
#ifndef STM32_GPIO_H
#define STM32_GPIO_H

#include "bsp.h"

/* Gives a pin to a peripheral: alternate function in AFRL or AFRH, then mode 2. */
static inline void stm32_alternate(uint32_t gpio, uint32_t pin, uint32_t function)
{
    enum { MODER = 0x00, AFRL = 0x20 };
    const uint32_t shift = 4u * (pin % 8u);
    bsp_modify(gpio + AFRL + 4u * (pin / 8u), 0xFu << shift, function << shift);
    bsp_modify(gpio + MODER, 3u << (2u * pin), 2u << (2u * pin));
}

static inline void stm32_uart_pins(void)
{
    static const uint32_t enables[][2] = BOARD_UART_ENABLES;
    for (uint32_t i = 0; i < sizeof enables / sizeof enables[0]; i++) {
        BSP_REGISTER(enables[i][0]) |= 1u << enables[i][1];
        (void)BSP_REGISTER(enables[i][0]); /* the clock runs when the read is back */
    }
    stm32_alternate(BOARD_UART_TX_GPIO, BOARD_UART_TX_PIN, BOARD_UART_TX_FUNCTION);
    stm32_alternate(BOARD_UART_RX_GPIO, BOARD_UART_RX_PIN, BOARD_UART_RX_FUNCTION);
}

#endif
