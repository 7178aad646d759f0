/* The RP2040's second stage: the first 256 bytes of the flash, which the boot ROM copies to SRAM, checks and
 * runs (data sheet 2.8.1). Puts the flash chip, a W25Q16JV, and the serial interface (SSI) into quad reads
 * without command byte at half the system clock, then starts the firmware, whose vector table is in the
 * second sector. Facts: RP2040 data sheet 2.8.1 and 4.10, W25Q16JV data sheet 7 and 8.2.
 *
 * The checksum at the end (CRC-32/MPEG-2) covers everything before it: change both or neither. */
    .syntax unified
    .cpu cortex-m0plus
    .thumb

    .equ FIRMWARE, 0x10001000
    .equ VTOR, 0xE000ED08
    .equ PADS_QSPI, 0x40020000
    .equ SSI, 0x18000000

    /* Registers of the SSI. Those past 0x7C are reached from SSI_HIGH. */
    .equ CTRLR0, 0x00
    .equ CTRLR1, 0x04
    .equ SSIENR, 0x08
    .equ SER, 0x10
    .equ BAUDR, 0x14
    .equ SR, 0x28
    .equ DR, 0x60
    .equ SSI_HIGH, SSI + 0xF0
    .equ RX_SAMPLE_DLY, 0x00
    .equ SPI_CTRLR0, 0x04

    /* CTRLR0: bytes both ways on single lines; words read on four lines after an address. */
    .equ SINGLE, 7 << 16
    .equ QUAD, 2 << 21 | 31 << 16 | 3 << 8
    /* SPI_CTRLR0: 32 bits of address and mode, 4 clocks of pause; with an 8-bit command on one line
     * before them, or with the mode bits alone, which tell the chip that no command follows. */
    .equ FIRST_READ, 4 << 11 | 2 << 8 | 8 << 2 | 1
    .equ NEXT_READS, 0xA0 << 24 | 4 << 11 | 8 << 2 | 2

    .equ CMD_WRITE_STATUS, 0x01
    .equ CMD_STATUS_1, 0x05
    .equ CMD_WRITE_ENABLE, 0x06
    .equ CMD_STATUS_2, 0x35
    .equ CMD_QUAD_READ, 0xEB
    .equ STATUS_2_QUAD, 0x02 /* QE: pins 3 and 7 are data */
    .equ MODE_NO_COMMAND, 0xA0

    .section .boot, "ax"
    .global bsp_second_stage
    .type bsp_second_stage, %function
    .thumb_func
bsp_second_stage:
    /* r4: SSI, r5: SSI_HIGH, r6: 0, r7: 1 */
    ldr r4, =SSI
    ldr r5, =SSI_HIGH
    movs r6, #0
    movs r7, #1

    ldr r0, =PADS_QSPI
    movs r1, #2 << 4 | 1 /* clock: 8 mA, fast */
    str r1, [r0, #0x04]
    movs r1, #0x50 /* data: input on, 4 mA, no Schmitt trigger, which costs time */
    str r1, [r0, #0x08]
    str r1, [r0, #0x0C]
    str r1, [r0, #0x10]
    str r1, [r0, #0x14]

    str r6, [r4, #SSIENR] /* off while it is set up */
    movs r0, #2
    str r0, [r4, #BAUDR]
    str r7, [r5, #RX_SAMPLE_DLY] /* a system clock later */
    str r7, [r4, #SER]
    ldr r0, =SINGLE
    str r0, [r4, #CTRLR0]
    str r7, [r4, #SSIENR]

    movs r0, #CMD_STATUS_2
    bl status
    movs r1, #STATUS_2_QUAD
    tst r0, r1
    bne quad
    movs r0, #CMD_WRITE_ENABLE
    bl command
    movs r0, #CMD_WRITE_STATUS
    str r0, [r4, #DR]
    str r6, [r4, #DR]
    movs r0, #STATUS_2_QUAD
    bl command
    ldr r0, [r4, #DR]
    ldr r0, [r4, #DR]
busy:
    movs r0, #CMD_STATUS_1
    bl status
    tst r0, r7
    bne busy

quad:
    /* One read with its command. Its mode bits make the following ones go without. */
    str r6, [r4, #SSIENR]
    ldr r0, =QUAD
    str r0, [r4, #CTRLR0]
    str r6, [r4, #CTRLR1] /* one word a read */
    ldr r0, =FIRST_READ
    str r0, [r5, #SPI_CTRLR0]
    str r7, [r4, #SSIENR]
    movs r0, #CMD_QUAD_READ
    str r0, [r4, #DR]
    movs r0, #MODE_NO_COMMAND /* address 0 above it */
    bl command

    str r6, [r4, #SSIENR]
    ldr r0, =NEXT_READS
    str r0, [r5, #SPI_CTRLR0]
    str r7, [r4, #SSIENR]

    ldr r0, =FIRMWARE
    ldr r1, =VTOR
    str r0, [r1]
    ldmia r0!, {r1, r2}
    msr msp, r1
    bx r2

    /* Sends r0 and waits until all is out; r0 is what came back first. */
    .thumb_func
command:
    str r0, [r4, #DR]
wait:
    ldr r1, [r4, #SR]
    movs r2, #1 << 2 /* TFE */
    tst r1, r2
    beq wait
    tst r1, r7 /* BUSY */
    bne wait
    ldr r0, [r4, #DR]
    bx lr

    /* r0: the status register that command r0 asks for. */
    .thumb_func
status:
    mov r3, lr
    str r0, [r4, #DR]
    bl command
    ldr r0, [r4, #DR]
    bx r3

    .ltorg
    .space bsp_second_stage + 252 - .
    .word 0xD6553B81
    .size bsp_second_stage, 256
