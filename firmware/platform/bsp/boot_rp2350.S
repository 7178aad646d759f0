/* What the RP2350's boot ROM looks for in the first 4 KB of the flash (data sheet 5.9.5): a loop of one
 * block, an image definition that says: executable, Arm, secure, RP2350. The vector table is where the
 * ROM expects it by default, at the start of the flash. */
    .syntax unified
    .section .boot, "a"
    .align 2
    .word 0xFFFFDED3 /* start of block */
    .byte 0x42       /* item: image type */
    .byte 1          /* of one word */
    .hword 1 | 2 << 4 | 0 << 8 | 1 << 12
    .byte 0xFF       /* last item */
    .hword 1         /* words before it */
    .byte 0
    .word 0          /* the next block is this one */
    .word 0xAB123579 /* end of block */
