/* The agent on this computer: serves a network over standard input and output. For tests of the
 * protocol under sanitizers; HOST_MODEL_HEADER and HOST_MODEL name the network. */
#include "tv_agent.h"
#include "tv_port.h"

#include HOST_MODEL_HEADER

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static tv_app app;

static uint8_t *new_bank(uint32_t bytes)
{
    uint8_t *memory = malloc(bytes + 2 * TV_GUARD_BYTES);
    if (!memory) {
        abort();
    }
    return memory + TV_GUARD_BYTES;
}

void tv_port_write(uint8_t byte)
{
    (void)putchar(byte);
}

uint32_t tv_port_cycles(void)
{
    static uint32_t calls;
    return calls += 100;
}

void tv_port_restart(void)
{
    tv_agent_init(&app);
}

int main(void)
{
    static uint8_t *bank[256];
    static uint8_t stack[4096];
    static uint8_t received[4096];
    for (uint32_t i = 0; i < HOST_MODEL.banks; i++) {
        bank[i] = new_bank(HOST_MODEL.bank_bytes[i]);
    }
    app.model = &HOST_MODEL;
    app.bank = bank;
    app.board = "host";
    app.build = "host build";
    app.stack_low = stack;
    app.stack_bytes = sizeof stack;
    tv_agent_init(&app);
    for (;;) {
        const ssize_t count = read(STDIN_FILENO, received, sizeof received);
        if (count <= 0) {
            return count < 0;
        }
        for (ssize_t i = 0; i < count; i++) {
            tv_agent_receive(received[i]);
        }
        (void)fflush(stdout);
    }
}
