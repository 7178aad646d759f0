/* The cycle model: plays the instructions of an emulated Cortex-M, one by one and in order, through
 * a model of its pipeline and of the memories behind it. docs/cycle-model.md explains the rules.
 *
 * tinyvision/cycles/ holds the same logic in Python, slow but equal, and fills in all parameters.
 */
#ifndef TV_ENGINE_H
#define TV_ENGINE_H

#include <stdint.h>

/* What an instruction is to a pipeline. Kept in step with tinyvision/cycles/microop.py. */
typedef enum {
    ALU, SHIFT, BIT, MULTIPLY, MAC, MULTIPLY_LONG, DIVIDE, SYSTEM, NOP, IT, BARRIER,
    LOAD, STORE, LOAD_MULTIPLE, STORE_MULTIPLE, LOAD_DOUBLE, STORE_DOUBLE,
    BRANCH, BRANCH_IF, COMPARE_BRANCH, CALL, BRANCH_REGISTER, POP_PC, LOAD_PC, TABLE_BRANCH,
    LOOP_START, LOOP_END,
    FP, FP_FMA, FP_MLA, FP_DIVIDE, FP_MOVE, FP_LOAD, FP_STORE, FP_LOAD_MULTIPLE, FP_STORE_MULTIPLE,
    VECTOR, VECTOR_MULTIPLY, VECTOR_FLOAT, VECTOR_LOAD, VECTOR_STORE, VECTOR_GATHER
} tv_kind;

enum {
    REGISTER_OFFSET = 1 << 0, /* a load or store whose offset is a register */
    INLINE_SHIFT = 1 << 1,    /* the last operand is shifted on its way */
    SETS_FLAGS = 1 << 2,
    NARROW = 1 << 3,         /* a load or store of a byte or halfword */
    SHIFTED_IMMEDIATE = 1 << 4,
    CONDITIONAL = 1 << 5,    /* in an IT block */
    EARLY = 1 << 6,          /* may execute in the early ALU of a Cortex-M7 */
    EARLY_OPERAND = 1 << 7,  /* needs its operand there */
    DOUBLE = 1 << 8,         /* of a 64-bit register of the FPU */
    EXTEND_ADD = 1 << 9,     /* SXTAB and relatives */
    RETURN = 1 << 10,        /* BX LR */
    LONG_ACCUMULATE = 1 << 11
};

/* Bits of the register masks: r0 to r15, then the flags, then s0 to s31. */
#define FLAGS_BIT 16
#define FPU_BIT 32

typedef enum { LOAD_USE, FLASH_WAIT, CACHE_MISS, BRANCHING, DEPENDENCY, OTHER, CAUSES } tv_cause;

#define NO_REGISTER 255

typedef struct {
    uint32_t address, flags;
    uint8_t size, kind;
    uint8_t transfers, width; /* accesses of the data bus, and bytes of each */
    uint8_t registers;        /* transferred, or moved between the register files */
    uint8_t base, index, shift; /* first access: base + (index << shift) + offset */
    int32_t offset;
    uint64_t sources;         /* needed in the execute stage */
    uint64_t address_sources; /* needed for an address */
    uint64_t special_sources; /* accumulators; operands that are shifted first */
    uint64_t results;
    uint64_t base_result; /* the base register that an access writes back */
} tv_microop;

typedef struct {
    uint64_t executions, cycles, stalls[CAUSES];
} tv_cost;

/* One instruction as it runs. */
typedef struct {
    const tv_microop *op;
    uint32_t address; /* of the first access */
    uint32_t next;    /* of the instruction that follows in time */
    uint8_t executed; /* 0: its condition failed */
    uint8_t next_wide;
} tv_step;

/* Kept in step with tinyvision/cycles/cores.py and native_engine.py. */
typedef enum { CORTEX_M0, CORTEX_M3, CORTEX_M7, CORTEX_M33, CORTEX_M55 } tv_pipeline;

typedef struct {
    int32_t pipeline;
    int32_t branch, branch_register, load_pc;  /* cycles to refill the pipeline */
    int32_t wide_target;                       /* more, at a 32-bit instruction across words */
    int32_t unaligned_run;                     /* for three such instructions in a row */
    int32_t store_to_load;                     /* a load after a store */
    int32_t load_to_use;                       /* after a load, but before another access */
    int32_t other_memory;                      /* a load after a load from another memory */
    int32_t unaligned_access;
    int32_t mac, multiply_long, mac_long, divide; /* cycles of these */
    int32_t fp_mac, fp_divide, fp_result;      /* cycles of these; a result used at once */
    int32_t barrier, system;
    int32_t mispredict, mispredict_early, retarget; /* of branches that are predicted */
} tv_core;

typedef struct {
    int32_t line_bytes, sets, ways; /* ways 0: there is none */
} tv_cache_shape;

/* How a range of addresses is reached. */
typedef enum { PLAIN, FLASH, CACHED } tv_memory_kind;
typedef struct {
    uint32_t address, size;
    int32_t kind;
    int32_t read, write; /* wait states, or cycles to fill a cache line */
} tv_memory_timing;

typedef struct {
    int32_t wait_states;
    int32_t fetch_extra, data_extra; /* cycles on top of them */
    int32_t data_next;               /* wait for the line after the last one; 0: as any other */
    int32_t prefetch, prefetch_lead; /* fetch ahead; cycles by which a fetch is asked for early */
    int32_t line_bytes;              /* of one read, where there is no cache */
    int32_t line_fill;               /* cycles to fill a line of an L1 cache; 0: there is none */
    int32_t write_back;
    int32_t data_buffer; /* data reads within the last line read cost no wait state */
    int32_t line_busy;   /* cycles until all of a line has come; the next read waits for that */
} tv_flash;

typedef struct {
    uint32_t *line; /* number of the line in each way; ~0 when empty */
    uint64_t *used; /* when it was used last */
    uint8_t *dirty;
    tv_cache_shape shape;
    uint64_t clock;
} tv_cache;

typedef struct tv_engine tv_engine;

struct tv_engine {
    /* Read by the host: time, what it went by with, instructions and what each has cost. */
    uint64_t cycle;
    tv_cost total;
    uint64_t ops;
    tv_microop *op;
    tv_cost *cost;
    /* Set by the host. */
    int (*reg_read)(void *machine, int reg, void *value);
    void (*decode)(uint32_t address);
    int32_t registers[16]; /* the emulator's numbers of r0 to r15 */
    /* Told of every access to these addresses, once it has happened; may be NULL. */
    void (*watch)(uint32_t pc, uint32_t address, uint32_t bytes, uint32_t is_store);
    uint32_t watch_address, watch_bytes;
    /* The rest is the engine's own. */

    tv_core core;
    tv_flash flash;
    tv_memory_timing memory[32];
    uint32_t memories;
    tv_cache fetch_cache, data_cache;
    uint32_t unified; /* the fetch cache serves data as well */

    /* Where each instruction is. */
    uint64_t op_capacity;
    uint32_t *table; /* open addressing: op + 1 */
    uint64_t table_size;
    uint64_t pending; /* op + 1 of the instruction that has begun, its accesses known */
    uint32_t pending_address;
    tv_cost *account; /* of the instruction being played */

    /* The flash's state. */
    uint64_t flash_free, prefetch_ready;
    uint32_t prefetch_line, fetch_line, data_line;

    /* The pipeline's state. */
    uint64_t ready[64], ready_special[64]; /* when a register may be read */
    uint64_t from_load;                    /* registers whose last writer was a load */
    uint64_t fpu_free;
    uint32_t previous_flags; /* what the last instruction was, in the pipeline's own terms */
    uint64_t previous_results;
    int32_t previous_memory;
    uint32_t unaligned_wide;

    /* Cortex-M7: by the place in the pipeline that asks for a register. */
    uint64_t late[64], early[64], accumulate[64], multiplicand[64], store[64];
    uint32_t slot, group, group_bank;
    uint64_t flags_set, mac_end;
    uint8_t direction[4096];
    uint32_t target[4096];
    uint64_t vector_free[3];
};

/* memory.c */
void tv_cache_clear(tv_cache *cache);
int tv_cache_access(tv_cache *cache, uint32_t address, int write, int *write_back);
int tv_memory_at(const tv_engine *e, uint32_t address);
void tv_fetch(tv_engine *e, const tv_microop *op);
int tv_read(tv_engine *e, uint32_t address);
int tv_write(tv_engine *e, uint32_t address);

/* Waits of all accesses of an instruction. */
int tv_read_all(tv_engine *e, const tv_step *s);
int tv_write_all(tv_engine *e, const tv_step *s);

/* One for each pipeline. */
void tv_play_m0(tv_engine *e, const tv_step *s);
void tv_play_m3(tv_engine *e, const tv_step *s);
void tv_play_m7(tv_engine *e, const tv_step *s);
void tv_play_m33(tv_engine *e, const tv_step *s);
void tv_play_m55(tv_engine *e, const tv_step *s);

static inline void tv_stall(tv_engine *e, tv_cause cause, uint64_t cycles)
{
    e->account->stalls[cause] += cycles;
    e->total.stalls[cause] += cycles;
}

/* Whether an instruction that ended elsewhere than at the next address did so by branching. */
static inline int tv_taken(const tv_step *s)
{
    return s->op->kind >= BRANCH && s->op->kind <= LOOP_END &&
           s->next != s->op->address + s->op->size;
}

#endif
