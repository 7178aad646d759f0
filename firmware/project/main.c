/* Serves the network over the serial line. Yours to change: tinyvision writes this file once and
 * leaves it alone from then on. */
#include "bsp.h"
#include "model_memory.h"
#include "tv_agent.h"
#include "tv_port.h"

/* To run the network from code of your own, without a host:
 *
 *     write the input's bytes at model_bank[MODEL.input[0].bank] + MODEL.input[0].offset,
 *     call MODEL.layer(model_bank, i) for i = 0 to MODEL.layers - 1, and
 *     read the output at model_bank[MODEL.output[0].bank] + MODEL.output[0].offset.
 */

int main(void)
{
    static tv_app app;
    app.model = &MODEL;
    app.bank = model_bank;
    app.board = BOARD_NAME;
    app.build = MODEL_BUILD;
    app.clock_hz = BOARD_CLOCK_HZ;
    app.flags = bsp_cycles_present() ? TV_HAS_CYCLE_COUNTER : 0;
    app.stack_low = (uint8_t *)bsp_stack_low;
    app.stack_bytes = (uint32_t)((uint8_t *)bsp_stack_top - (uint8_t *)bsp_stack_low);
    tv_agent_init(&app);
    for (;;) {
        const int byte = bsp_uart_read();
        if (byte >= 0) {
            tv_agent_receive((uint8_t)byte);
        } else {
            bsp_idle();
        }
    }
}

void bsp_on_fault(const bsp_fault *fault)
{
    const tv_fault report = {
        fault->pc, fault->lr, fault->cfsr, fault->hfsr, fault->bfar, fault->kind};
    tv_agent_fault(&report);
    for (;;) {
        const int byte = bsp_uart_read();
        if (byte >= 0) {
            tv_agent_receive((uint8_t)byte);
        }
    }
}

void tv_port_write(uint8_t byte)
{
    bsp_uart_write(byte);
}

uint32_t tv_port_cycles(void)
{
    return bsp_cycles();
}

void tv_port_restart(void)
{
    bsp_restart();
}
