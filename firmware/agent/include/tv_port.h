/* What the agent needs of the machine it runs on. A firmware defines these three functions. */
#ifndef TV_PORT_H
#define TV_PORT_H

#include <stdint.h>

/* Sends one byte to the host; waits until there is room. */
void tv_port_write(uint8_t byte);

/* Cycles since some moment, modulo 2^32. Constant where the machine has no counter. */
uint32_t tv_port_cycles(void);

/* Starts over as after power-on, once everything written is out. */
void tv_port_restart(void);

#endif
