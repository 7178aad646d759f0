#include "tv_frame.h"

/* Remainders of 4-bit values for the reflected polynomial 0xEDB88320. */
static const uint32_t crc_table[16] = {
    0x00000000u, 0x1DB71064u, 0x3B6E20C8u, 0x26D930ACu, 0x76DC4190u, 0x6B6B51F4u,
    0x4DB26158u, 0x5005713Cu, 0xEDB88320u, 0xF00F9344u, 0xD6D6A3E8u, 0xCB61B38Cu,
    0x9B64C2B0u, 0x86D3D2D4u, 0xA00AE278u, 0xBDBDF21Cu,
};

uint32_t tv_crc32(uint32_t crc, const uint8_t *data, uint32_t length)
{
    crc = ~crc;
    for (uint32_t i = 0; i < length; i++) {
        crc ^= data[i];
        crc = (crc >> 4) ^ crc_table[crc & 15u];
        crc = (crc >> 4) ^ crc_table[crc & 15u];
    }
    return ~crc;
}

static void store(tv_receiver *receiver, uint8_t byte)
{
    if (receiver->length < TV_MAX_FRAME) {
        receiver->data[receiver->length++] = byte;
    } else {
        receiver->broken = true;
    }
}

static bool crc_is_right(const tv_receiver *receiver)
{
    const uint8_t *crc = receiver->data + receiver->length - TV_CRC_BYTES;
    const uint32_t sent = (uint32_t)crc[0] | (uint32_t)crc[1] << 8 | (uint32_t)crc[2] << 16 |
                          (uint32_t)crc[3] << 24;
    return sent == tv_crc32(0, receiver->data, (uint32_t)(receiver->length - TV_CRC_BYTES));
}

tv_receive_state tv_receive(tv_receiver *receiver, uint8_t byte)
{
    if (receiver->ended) {
        receiver->length = 0;
        receiver->left = 0;
        receiver->full_block = receiver->started = receiver->broken = receiver->ended = false;
    }
    if (byte == 0) {
        if (!receiver->started) {
            return TV_RECEIVING;
        }
        receiver->ended = true;
        if (receiver->broken || receiver->left != 0 || receiver->length < TV_CRC_BYTES ||
            !crc_is_right(receiver)) {
            return TV_FRAME_BAD;
        }
        receiver->length = (uint16_t)(receiver->length - TV_CRC_BYTES);
        return TV_FRAME_GOOD;
    }
    if (receiver->left != 0) {
        receiver->left--;
        store(receiver, byte);
        return TV_RECEIVING;
    }
    if (receiver->started && !receiver->full_block) {
        store(receiver, 0); /* the zero between two blocks */
    }
    receiver->started = true;
    receiver->full_block = byte == 0xFF;
    receiver->left = (uint8_t)(byte - 1);
    return TV_RECEIVING;
}

void tv_send(uint8_t *data, uint32_t length, void (*write)(uint8_t byte))
{
    const uint32_t crc = tv_crc32(0, data, length);
    for (uint32_t i = 0; i < TV_CRC_BYTES; i++) {
        data[length++] = (uint8_t)(crc >> (8 * i));
    }
    uint32_t position = 0;
    bool more = true;
    while (more) {
        uint32_t run = 0;
        while (run < 254 && position + run < length && data[position + run] != 0) {
            run++;
        }
        write((uint8_t)(run + 1));
        for (uint32_t i = 0; i < run; i++) {
            write(data[position + i]);
        }
        position += run;
        more = position < length;
        if (run < 254) {
            position++; /* the code stands for this zero too */
        }
    }
    write(0);
}
