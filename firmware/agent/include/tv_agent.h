/* The agent: answers a host that writes inputs, runs layers, reads memory and asks for cycles. The
 * protocol is written down in tinyvision's docs/protocol.md. One agent a program. */
#ifndef TV_AGENT_H
#define TV_AGENT_H

#include "tv_runtime.h"

#include <stdint.h>

enum {
    TV_PROTOCOL_VERSION = 1,
    TV_GUARD_BYTES = 16,      /* around every bank */
    TV_HAS_CYCLE_COUNTER = 1, /* flag */
    TV_NO_LAYER = 0xFFFF
};

/* What is served. Each bank[i] has model->bank_bytes[i] bytes and TV_GUARD_BYTES of its own before
 * and behind. The stack grows down to `stack_low`; stack_bytes is 0 where it is not to be watched. */
typedef struct {
    const tv_model_t *model;
    uint8_t *const *bank;
    const char *board, *build;
    uint32_t clock_hz;
    uint32_t flags;
    uint8_t *stack_low;
    uint32_t stack_bytes;
} tv_app;

/* What a processor says of a fault; registers that it lacks are 0. `kind` is the number of the
 * exception (3 HardFault, 4 MemManage, 5 BusFault, 6 UsageFault, 7 SecureFault; any other: an
 * interrupt that nobody asked for), 0 for none. */
typedef struct {
    uint32_t pc, lr, cfsr, hfsr, bfar;
    uint8_t kind;
} tv_fault;

/* Paints guards, banks and free stack, and measures the cost of measuring. `app` must stay. */
void tv_agent_init(const tv_app *app);

/* Takes one byte from the host and answers when it completes a request. */
void tv_agent_receive(uint8_t byte);

/* Tells the host of a fault, unasked. From then on only IDENTIFY and FAULT are served, so that
 * this is safe to call, with tv_agent_receive after it, from a fault handler. */
void tv_agent_fault(const tv_fault *fault);

#endif
