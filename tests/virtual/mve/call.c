/* Runs a model's layers one by one, each with nothing but its own memory within reach: the MPU has
 * a region for every bank that the layer may touch.
 *
 * Semihosting reads `memory` (the test's memory as it is before the first layer) and `calls`: for
 * each layer how many regions it has, and begin and end of each; then it appends all of them to
 * `results` when the layer is done. The model and its banks are in `table.c`.
 */
#include "table.h"

#define REGISTER(address) (*(volatile uint32_t *)(address))

enum {
    CPACR = 0xE000ED88, MPU_CTRL = 0xE000ED94, MPU_RNR = 0xE000ED98, MPU_RBAR = 0xE000ED9C,
    MPU_RLAR = 0xE000EDA0, MPU_MAIR0 = 0xE000EDC0
};
enum { OPEN = 1, WRITE = 5, READ = 6, EXIT = 0x20, READ_BINARY = 1, WRITE_BINARY = 5 };
enum { MEMORY = 0x31000000, MEMORY_BYTES = 0x100000, MOST_CALLS = 4096, REGIONS = 12 };

static uint32_t calls[MOST_CALLS];

static int semihosting(int operation, const void *block)
{
    register int r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = block;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

static int open_file(const char *name, uint32_t length, uint32_t mode)
{
    const uint32_t block[] = {(uint32_t)name, mode, length};
    return semihosting(OPEN, block);
}

static void transfer(int operation, int file, void *at, uint32_t count)
{
    const uint32_t block[] = {(uint32_t)file, (uint32_t)at, count};
    semihosting(operation, block);
}

static void leave(uint32_t code)
{
    const uint32_t block[] = {0x20026 /* application exit */, code};
    for (;;) {
        semihosting(EXIT, block);
    }
}

static void region(uint32_t number, uint32_t begin, uint32_t end, uint32_t rights)
{
    REGISTER(MPU_RNR) = number;
    REGISTER(MPU_RBAR) = begin | rights;
    REGISTER(MPU_RLAR) = ((end - 1) & ~31u) | (end > begin ? 1u : 0u);
}

static volatile uint32_t layer;

/* A fault: which layer it was is the exit code. */
static void fault(void)
{
    REGISTER(MPU_CTRL) = 0;
    leave(1 + layer);
}

int main(void)
{
    const int memory = open_file("memory", 6, READ_BINARY), list = open_file("calls", 5, READ_BINARY);
    const int results = open_file("results", 7, WRITE_BINARY);
    const uint32_t *call = calls;
    transfer(READ, memory, (void *)MEMORY, MEMORY_BYTES);
    transfer(READ, list, calls, sizeof calls);
    REGISTER(MPU_MAIR0) = 0x44;
    region(0, 0x00000000, 0x01200000, 3 << 1 /* read only */);
    region(1, 0x20000000, 0x20080000, (1 << 1) | 1 /* no code */);
    for (layer = 0; layer < LAYERS; layer++) {
        const uint32_t count = *call++;
        for (uint32_t i = 0; i < REGIONS; i++) {
            region(2 + i, i < count ? call[2 * i] : 0x20, i < count ? call[2 * i + 1] : 0x20, (1 << 1) | 1);
        }
        REGISTER(MPU_CTRL) = 1; /* and no background region */
        __asm__ volatile("dsb\n\tisb" ::: "memory");
        call_layer(layer);
        REGISTER(MPU_CTRL) = 0;
        __asm__ volatile("dsb\n\tisb" ::: "memory");
        for (uint32_t i = 0; i < count; i++) {
            transfer(WRITE, results, (void *)call[2 * i], call[2 * i + 1] - call[2 * i]);
        }
        call += 2 * count;
    }
    leave(0);
}

__attribute__((naked)) void reset(void)
{
    __asm__ volatile(
        "ldr r0, =0xE000ED88\n"
        "ldr r1, [r0]\n"
        "orr r1, r1, #0xF00000\n"
        "str r1, [r0]\n"
        "dsb\n"
        "isb\n"
        "bl main\n");
}

__attribute__((section(".vectors"), used)) static void (*const vectors[16])(void) = {
    (void (*)(void))0x20080000, reset, fault, fault, fault, fault, fault, fault,
};

void *memcpy(void *to, const void *from, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        ((volatile uint8_t *)to)[i] = ((const uint8_t *)from)[i];
    }
    return to;
}

void *memset(void *to, int value, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        ((volatile uint8_t *)to)[i] = (uint8_t)value;
    }
    return to;
}
