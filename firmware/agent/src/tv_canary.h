/* Painting memory, and finding out later how much of it was written. Internal to the agent. */
#ifndef TV_CANARY_H
#define TV_CANARY_H

#include <stdint.h>

/* Fills `size` bytes with a pattern that depends on the address. */
void tv_paint(uint8_t *memory, uint32_t size);

/* Bytes of the aligned words that hold something else than paint. */
uint32_t tv_painted_over(const uint8_t *memory, uint32_t size);

/* Offset of the first word that is not paint, of memory that starts with a whole word; `size` where
 * all is. */
uint32_t tv_paint_depth(const uint8_t *memory, uint32_t size);

#endif
