/* The least that a bare program needs on the virtual board of an STM32H743 or STM32L4R5. */
#include <stdint.h>

#define REG(address) (*(volatile uint32_t *)(address))
#define CYCCNT REG(0xE0001004)

extern uint32_t stack_top[];
void test_main(void);
__attribute__((noreturn)) void Reset_Handler(void);
void HardFault_Handler(void);
void SysTick_Handler(void);
void Uart_Handler(void);

enum { USART_CR1 = 0x00, USART_ISR = 0x1C, USART_RDR = 0x24, USART_TDR = 0x28 };

static inline void put(uint8_t byte)
{
    while (!(REG(UART + USART_ISR) & 0x80u)) {
    }
    REG(UART + USART_TDR) = byte;
}

static inline void put_word(uint32_t word)
{
    for (int i = 0; i < 4; i++) {
        put((uint8_t)(word >> 8 * i));
    }
}

static inline int get(void)
{
    return REG(UART + USART_ISR) & 0x20u ? (int)(REG(UART + USART_RDR) & 0xFFu) : -1;
}

static inline uint8_t wait(void)
{
    int byte;
    while ((byte = get()) < 0) {
    }
    return (uint8_t)byte;
}

static inline uint32_t wait_word(void)
{
    uint32_t word = 0;
    for (int i = 0; i < 4; i++) {
        word |= (uint32_t)wait() << 8 * i;
    }
    return word;
}
