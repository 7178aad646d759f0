#include "tv_agent.h"

#include "tv_canary.h"
#include "tv_frame.h"
#include "tv_port.h"

enum { /* commands */
    CMD_IDENTIFY = 0x01,
    CMD_TENSOR = 0x02,
    CMD_WRITE_INPUT = 0x03,
    CMD_RUN = 0x04,
    CMD_READ_OUTPUT = 0x05,
    CMD_READ_ARENA = 0x06,
    CMD_PROFILE = 0x07,
    CMD_MEMORY = 0x08,
    CMD_PAINT = 0x09,
    CMD_SELF_TEST = 0x0A,
    CMD_FAULT = 0x0B,
    CMD_BROKEN_FRAME = 0x7F,
    RESPONSE = 0x80
};

typedef enum {
    STATUS_OK,
    STATUS_BAD_FRAME,
    STATUS_UNKNOWN_COMMAND,
    STATUS_BAD_LENGTH,
    STATUS_OUT_OF_RANGE,
    STATUS_FAULT
} tv_status;

enum { REQUEST_HEADER = 2, RESPONSE_HEADER = 3, MAX_TEXT = 64, STACK_MARGIN = 128 };

/* The payload of a request, read from the front. */
typedef struct {
    const uint8_t *data;
    uint32_t length;
} tv_request;

static struct {
    const tv_app *app;
    tv_receiver receiver;
    uint8_t reply[TV_MAX_FRAME];
    uint32_t reply_length;
    uint32_t timing_cycles; /* what timing an empty layer costs */
    volatile uint16_t layer;
    tv_fault fault;
    uint16_t fault_layer;
} agent;

/* ---- little-endian fields ---------------------------------------------------------------- */

static uint32_t take(tv_request *request, uint32_t bytes)
{
    uint32_t value = 0;
    for (uint32_t i = 0; i < bytes; i++) {
        value |= (uint32_t)request->data[i] << (8 * i);
    }
    request->data += bytes;
    request->length -= bytes;
    return value;
}

static void put(uint32_t value, uint32_t bytes)
{
    for (uint32_t i = 0; i < bytes && agent.reply_length < RESPONSE_HEADER + TV_MAX_PAYLOAD; i++) {
        agent.reply[agent.reply_length++] = (uint8_t)(value >> (8 * i));
    }
}

static void put_f32(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, 4);
    put(bits, 4);
}

static void put_text(const char *text)
{
    uint32_t length = 0;
    while (length < MAX_TEXT && text[length] != 0) {
        length++;
    }
    put(length, 1);
    for (uint32_t i = 0; i < length; i++) {
        put((uint8_t)text[i], 1);
    }
}

/* ---- running ----------------------------------------------------------------------------- */

typedef void (*tv_layer_function)(uint8_t *const bank[], uint32_t index);

/* Cycles of one call, with what taking the time costs. Never inlined: the cost must not vary. */
static __attribute__((noinline)) uint32_t timed(tv_layer_function layer, uint32_t index)
{
    uint8_t *const *bank = agent.app->bank;
    agent.layer = (uint16_t)index;
    const uint32_t start = tv_port_cycles();
    layer(bank, index);
    const uint32_t stop = tv_port_cycles();
    agent.layer = TV_NO_LAYER;
    return stop - start;
}

static uint32_t run_layer(uint32_t index)
{
    const uint32_t cycles = timed(agent.app->model->layer, index);
    return cycles > agent.timing_cycles ? cycles - agent.timing_cycles : 0;
}

static void empty_layer(uint8_t *const bank[], uint32_t index)
{
    (void)bank;
    (void)index;
}

/* ---- memory ------------------------------------------------------------------------------ */

static uint32_t guards_damaged(uint32_t bank)
{
    const uint8_t *memory = agent.app->bank[bank];
    const uint8_t *behind = memory + agent.app->model->bank_bytes[bank];
    return tv_painted_over(memory - TV_GUARD_BYTES, TV_GUARD_BYTES) != 0 ||
           tv_painted_over(behind, TV_GUARD_BYTES) != 0;
}

/* Paints a bank but for the bytes of inputs from `first_kept` on (model->inputs: keeps none). */
static void paint_bank(uint32_t bank, uint32_t first_kept)
{
    const tv_model_t *model = agent.app->model;
    uint32_t position = 0;
    while (position < model->bank_bytes[bank]) {
        uint32_t start = model->bank_bytes[bank], end = start;
        for (uint32_t i = first_kept; i < model->inputs; i++) {
            const tv_tensor_t *input = &model->input[i];
            if (input->bank == bank && input->size_bytes != 0 && input->offset >= position &&
                input->offset < start) {
                start = input->offset;
                end = start + input->size_bytes;
            }
        }
        tv_paint(agent.app->bank[bank] + position, start - position);
        position = end;
    }
}

/* The stack below the caller's frame is free; the margin covers this call itself. */
static __attribute__((noinline)) void paint_stack(void)
{
    const tv_app *app = agent.app;
    if (app->stack_bytes == 0) {
        return;
    }
    const uintptr_t here = (uintptr_t)__builtin_frame_address(0);
    const uintptr_t low = (uintptr_t)app->stack_low;
    if (here > low + STACK_MARGIN && here - low <= app->stack_bytes) {
        tv_paint(app->stack_low, (uint32_t)(here - low - STACK_MARGIN));
    }
}

/* ---- commands ---------------------------------------------------------------------------- */

static tv_status identify(void)
{
    const tv_app *app = agent.app;
    const tv_model_t *model = app->model;
    put(TV_PROTOCOL_VERSION, 1);
    put(TV_MAX_PAYLOAD, 2);
    put_text(app->board);
    put_text(model->name);
    put_text(app->build);
    for (uint32_t i = 0; i < sizeof model->hash; i++) {
        put(model->hash[i], 1);
    }
    put(model->layers, 2);
    put(model->inputs, 1);
    put(model->outputs, 1);
    put(model->banks, 1);
    put(app->clock_hz, 4);
    put(app->flags, 1);
    return STATUS_OK;
}

static tv_status describe_tensor(tv_request request)
{
    const tv_model_t *model = agent.app->model;
    if (request.length != 2) {
        return STATUS_BAD_LENGTH;
    }
    const uint32_t direction = take(&request, 1), index = take(&request, 1);
    if (direction > 1 || index >= (direction ? model->outputs : model->inputs)) {
        return STATUS_OUT_OF_RANGE;
    }
    const tv_tensor_t *tensor = (direction ? model->output : model->input) + index;
    put(tensor->dtype, 1);
    put(tensor->external, 1);
    put(tensor->rank, 1);
    for (uint32_t i = 0; i < tensor->rank; i++) {
        put((uint32_t)tensor->shape[i], 4);
    }
    put(tensor->size_bytes, 4);
    put_f32(tensor->scale);
    put((uint32_t)tensor->zero_point, 4);
    put(tensor->bank, 1);
    put(tensor->offset, 4);
    return STATUS_OK;
}

static tv_status write_input(tv_request request)
{
    const tv_model_t *model = agent.app->model;
    if (request.length < 5) {
        return STATUS_BAD_LENGTH;
    }
    const uint32_t index = take(&request, 1), first = take(&request, 4);
    if (index >= model->inputs) {
        return STATUS_OUT_OF_RANGE;
    }
    const tv_tensor_t *tensor = &model->input[index];
    const uint32_t size = tv_dtype_bytes(tensor->external);
    const uint32_t elements = tensor->size_bytes / tv_dtype_bytes(tensor->dtype);
    const uint32_t count = request.length / size;
    if (request.length % size != 0) {
        return STATUS_BAD_LENGTH;
    }
    if (first > elements || count > elements - first) {
        return STATUS_OUT_OF_RANGE;
    }
    tv_tensor_write(tensor, agent.app->bank, first, request.data, count);
    return STATUS_OK;
}

static tv_status read_output(tv_request request)
{
    const tv_model_t *model = agent.app->model;
    if (request.length != 7) {
        return STATUS_BAD_LENGTH;
    }
    const uint32_t index = take(&request, 1), first = take(&request, 4);
    const uint32_t count = take(&request, 2);
    if (index >= model->outputs) {
        return STATUS_OUT_OF_RANGE;
    }
    const tv_tensor_t *tensor = &model->output[index];
    const uint32_t size = tv_dtype_bytes(tensor->external);
    const uint32_t elements = tensor->size_bytes / tv_dtype_bytes(tensor->dtype);
    if (first > elements || count > elements - first || count * size > TV_MAX_PAYLOAD) {
        return STATUS_OUT_OF_RANGE;
    }
    tv_tensor_read(tensor, agent.app->bank, first, agent.reply + agent.reply_length, count);
    agent.reply_length += count * size;
    return STATUS_OK;
}

static tv_status read_arena(tv_request request)
{
    const tv_model_t *model = agent.app->model;
    if (request.length != 7) {
        return STATUS_BAD_LENGTH;
    }
    const uint32_t bank = take(&request, 1), offset = take(&request, 4);
    const uint32_t count = take(&request, 2);
    if (bank >= model->banks || offset > model->bank_bytes[bank] ||
        count > model->bank_bytes[bank] - offset || count > TV_MAX_PAYLOAD) {
        return STATUS_OUT_OF_RANGE;
    }
    memcpy(agent.reply + agent.reply_length, agent.app->bank[bank] + offset, count);
    agent.reply_length += count;
    return STATUS_OK;
}

/* RUN answers with the cycles of all layers together, PROFILE with those of each. */
static tv_status run(tv_request request, bool each)
{
    if (request.length != 4) {
        return STATUS_BAD_LENGTH;
    }
    const uint32_t first = take(&request, 2), count = take(&request, 2);
    if (first + count > agent.app->model->layers || (each && count > TV_MAX_PAYLOAD / 4)) {
        return STATUS_OUT_OF_RANGE;
    }
    uint64_t total = 0;
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t cycles = run_layer(first + i);
        total += cycles;
        if (each) {
            put(cycles, 4);
        }
    }
    if (!each) {
        put((uint32_t)total, 4);
        put((uint32_t)(total >> 32), 4);
    }
    return STATUS_OK;
}

static tv_status report_memory(void)
{
    const tv_app *app = agent.app;
    uint32_t damaged = 0;
    for (uint32_t i = 0; i < app->model->banks; i++) {
        const uint32_t size = app->model->bank_bytes[i];
        put(size, 4);
        put(tv_painted_over(app->bank[i], size), 4);
        damaged |= guards_damaged(i) << (i & 7u);
    }
    put(app->stack_bytes, 4);
    put(app->stack_bytes - tv_paint_depth(app->stack_low, app->stack_bytes), 4);
    put(damaged, 1);
    return STATUS_OK;
}

static tv_status paint(void)
{
    for (uint32_t i = 0; i < agent.app->model->banks; i++) {
        paint_bank(i, 0);
    }
    paint_stack();
    return STATUS_OK;
}

static tv_status self_test(void)
{
    const tv_model_t *model = agent.app->model;
    uint32_t state = model->self_test_seed, crc = 0;
    for (uint32_t i = 0; i < model->inputs; i++) {
        uint8_t *memory = agent.app->bank[model->input[i].bank] + model->input[i].offset;
        for (uint32_t k = 0; k < model->input[i].size_bytes; k++) {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            memory[k] = (uint8_t)(state >> 24);
        }
    }
    for (uint32_t i = 0; i < model->layers; i++) {
        (void)run_layer(i);
    }
    for (uint32_t i = 0; i < model->outputs; i++) {
        const tv_tensor_t *output = &model->output[i];
        crc = tv_crc32(crc, agent.app->bank[output->bank] + output->offset, output->size_bytes);
    }
    put(crc, 4);
    put(model->self_test_crc, 4);
    put(crc == model->self_test_crc, 1);
    return STATUS_OK;
}

static tv_status report_fault(void)
{
    put(agent.fault.pc, 4);
    put(agent.fault.lr, 4);
    put(agent.fault.cfsr, 4);
    put(agent.fault.hfsr, 4);
    put(agent.fault.bfar, 4);
    put(agent.fault_layer, 2);
    put(agent.fault.kind, 1);
    return STATUS_OK;
}

static bool asks_for_restart(uint8_t command, tv_request request)
{
    return command == CMD_FAULT && request.length == 1 && request.data[0] == 1;
}

static tv_status execute(uint8_t command, tv_request request)
{
    const bool faulted = agent.fault.kind != 0;
    tv_status status;
    switch (command) {
    case CMD_IDENTIFY:
        if (!agent.app) { /* a fault came before tv_agent_init */
            return STATUS_FAULT;
        }
        status = request.length ? STATUS_BAD_LENGTH : identify();
        break;
    case CMD_FAULT:
        if (request.length > 1) {
            return STATUS_BAD_LENGTH;
        }
        if (request.length == 1 && request.data[0] > 1) {
            return STATUS_OUT_OF_RANGE;
        }
        status = report_fault();
        break;
    default:
        if (faulted) {
            return STATUS_FAULT;
        }
        switch (command) {
        case CMD_TENSOR:
            return describe_tensor(request);
        case CMD_WRITE_INPUT:
            return write_input(request);
        case CMD_RUN:
            return run(request, false);
        case CMD_READ_OUTPUT:
            return read_output(request);
        case CMD_READ_ARENA:
            return read_arena(request);
        case CMD_PROFILE:
            return run(request, true);
        case CMD_MEMORY:
            return request.length ? STATUS_BAD_LENGTH : report_memory();
        case CMD_PAINT:
            return request.length ? STATUS_BAD_LENGTH : paint();
        case CMD_SELF_TEST:
            return request.length ? STATUS_BAD_LENGTH : self_test();
        default:
            return STATUS_UNKNOWN_COMMAND;
        }
    }
    return status == STATUS_OK && faulted ? STATUS_FAULT : status;
}

static void begin_reply(uint8_t sequence, uint8_t command)
{
    agent.reply[0] = sequence;
    agent.reply[1] = command | RESPONSE;
    agent.reply_length = RESPONSE_HEADER;
}

static void end_reply(tv_status status)
{
    agent.reply[2] = (uint8_t)status;
    tv_send(agent.reply, agent.reply_length, tv_port_write);
}

/* ---- what a firmware calls --------------------------------------------------------------- */

void tv_agent_init(const tv_app *app)
{
    agent.app = app;
    agent.layer = agent.fault_layer = TV_NO_LAYER;
    for (uint32_t i = 0; i < app->model->banks; i++) {
        tv_paint(app->bank[i] - TV_GUARD_BYTES, TV_GUARD_BYTES);
        paint_bank(i, app->model->inputs);
        tv_paint(app->bank[i] + app->model->bank_bytes[i], TV_GUARD_BYTES);
    }
    paint_stack();
    agent.timing_cycles = UINT32_MAX;
    for (uint32_t i = 0; i < 8; i++) { /* the first rounds fill caches */
        const uint32_t cycles = timed(empty_layer, 0);
        agent.timing_cycles = cycles < agent.timing_cycles ? cycles : agent.timing_cycles;
    }
}

void tv_agent_receive(uint8_t byte)
{
    const tv_receive_state state = tv_receive(&agent.receiver, byte);
    if (state == TV_RECEIVING) {
        return;
    }
    if (state == TV_FRAME_BAD || agent.receiver.length < REQUEST_HEADER) {
        begin_reply(0, CMD_BROKEN_FRAME);
        end_reply(STATUS_BAD_FRAME);
        return;
    }
    const uint8_t *frame = agent.receiver.data;
    const tv_request request = {frame + REQUEST_HEADER, agent.receiver.length - REQUEST_HEADER};
    begin_reply(frame[0], frame[1]);
    end_reply(execute(frame[1], request));
    if (asks_for_restart(frame[1], request)) {
        tv_port_restart();
    }
}

void tv_agent_fault(const tv_fault *fault)
{
    agent.fault = *fault;
    agent.fault_layer = agent.app ? agent.layer : TV_NO_LAYER;
    tv_port_write(0); /* whatever was being sent ends here */
    begin_reply(0, CMD_FAULT);
    (void)report_fault();
    end_reply(STATUS_FAULT);
}
