/* Registers of a UART, served from and to buffers: the fast way of UartModel in device/virtual/uart.py.
 * Called by Unicorn for every access to the UART's registers. */
#include <stdint.h>

enum { IN_BYTES = 8192, OUT_BYTES = 4096 };

typedef struct {
    /* Registers by offset, bits by mask; see UartFamily. */
    uint32_t status, always, received, empty, data_in, data_out, idle_polls;
    /* Bytes on their way, and how often an empty receiver was looked at in a row. */
    uint32_t in_position, in_length, out_length, polls;
    uint32_t accesses; /* reads and writes of any register so far */
    void (*wait)(void);  /* sends `out`, waits a little, fills `in` */
    void (*flush)(void); /* sends `out` */
    uint32_t (*read)(uint32_t offset);
    void (*write)(uint32_t offset, uint32_t value);
    uint8_t in[IN_BYTES], out[OUT_BYTES];
} tv_uart;

static uint32_t read_word(tv_uart *uart, uint32_t offset)
{
    const int has_byte = uart->in_position < uart->in_length;
    uart->accesses++;
    if (offset == uart->status) {
        if (!has_byte && ++uart->polls > uart->idle_polls) {
            uart->wait();
        }
        return uart->always |
               (uart->in_position < uart->in_length ? uart->received : uart->empty);
    }
    if (offset == uart->data_in) {
        uart->polls = 0;
        return has_byte ? uart->in[uart->in_position++] : 0;
    }
    return uart->read(offset);
}

/* The emulator takes as many of the bits as it has asked for. */
uint64_t tv_uart_read(void *machine, uint64_t offset, unsigned size, void *user)
{
    (void)machine;
    (void)size;
    return read_word(user, (uint32_t)offset & ~3u) >> 8 * (offset & 3u);
}

void tv_uart_write(void *machine, uint64_t offset, unsigned size, uint64_t value, void *user)
{
    tv_uart *uart = user;
    const uint32_t word = (uint32_t)offset & ~3u;
    (void)machine;
    uart->accesses++;
    if (word == uart->data_out) {
        uart->polls = 0;
        uart->out[uart->out_length++] = (uint8_t)value;
        if (uart->out_length == OUT_BYTES) {
            uart->flush();
        }
        return;
    }
    if (size < 4) {
        const uint32_t shift = 8 * ((uint32_t)offset & 3u), mask = ((1u << 8 * size) - 1u) << shift;
        value = (uart->read(word) & ~mask) | ((uint32_t)value << shift & mask);
    }
    uart->write(word, (uint32_t)value);
}
