/* Frames of the serial protocol: consistent-overhead byte stuffing (Cheshire and Baker, SIGCOMM 1997)
 * ended by a zero byte, protected by CRC-32. Portable C, no allocation, everything bounded. */
#ifndef TV_FRAME_H
#define TV_FRAME_H

#include <stdbool.h>
#include <stdint.h>

enum {
    TV_MAX_PAYLOAD = 1024,
    TV_MAX_FRAME = TV_MAX_PAYLOAD + 8, /* decoded, with header and CRC */
    TV_CRC_BYTES = 4
};

typedef enum { TV_RECEIVING, TV_FRAME_GOOD, TV_FRAME_BAD } tv_receive_state;

/* Undoes the stuffing byte by byte. All zero is the state before the first byte. */
typedef struct {
    uint8_t data[TV_MAX_FRAME]; /* of a good frame: what came before the CRC, then the CRC */
    uint16_t length;            /* of a good frame: without the CRC */
    uint8_t left;               /* bytes left of the present block */
    bool full_block;            /* the present block stands for 254 bytes and no zero */
    bool started, broken, ended;
} tv_receiver;

/* Takes the next byte. TV_FRAME_GOOD: `data` holds a frame of `length` bytes whose CRC is right,
 * until the next call. TV_FRAME_BAD: one ended that was malformed, too long or wrong in its CRC.
 * Zeros between frames are ignored. */
tv_receive_state tv_receive(tv_receiver *receiver, uint8_t byte);

/* Appends the CRC to data[0 .. length) (there must be room for it) and passes the stuffed frame with
 * its closing zero to `write`. */
void tv_send(uint8_t *data, uint32_t length, void (*write)(uint8_t byte));

/* CRC-32/ISO-HDLC (zlib's) of more bytes; `crc` is 0 at first, then the result so far. */
uint32_t tv_crc32(uint32_t crc, const uint8_t *data, uint32_t length);

#endif
