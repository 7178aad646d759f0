/* Boards whose clock already runs at full speed after reset. */
#include "bsp.h"

void bsp_clock_init(void)
{
}
