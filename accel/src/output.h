/* The output buffer of an event, and writing to it. */
#ifndef SDK_ACCEL_OUTPUT_H
#define SDK_ACCEL_OUTPUT_H

#include "vm.h"

#define STACK_ROOM 1024

/* Output bytes: on the C stack while they are few, then in a buffer. */
typedef struct {
    Table *table;
    uint8_t *p, *end, *start;
    Buffer buffer;
    Py_ssize_t depth;
    uintptr_t stack_end;
} Writer;

static inline int
grow(Writer *writer, Py_ssize_t size)
{
    Py_ssize_t used = writer->p - writer->start;
    if (size > PY_SSIZE_T_MAX / 4 - used) {
        PyErr_NoMemory();
        return -1;
    }
    Py_ssize_t room = used + used / 2 + size + STACK_ROOM; /* one long value leaves little over */
    int first = writer->buffer == NULL;
    if (buffer_resize(&writer->buffer, room) < 0)
        return -1;
    uint8_t *start = (uint8_t *)buffer_data(writer->buffer);
    if (first)
        memcpy(start, writer->start, (size_t)used);
    writer->start = start;
    writer->p = start + used;
    writer->end = start + room;
    return 0;
}

static inline int
reserve(Writer *writer, Py_ssize_t size)
{
    return writer->end - writer->p >= size ? 0 : grow(writer, size);
}

static inline int
write_raw(Writer *writer, const void *bytes, Py_ssize_t size)
{
    if (reserve(writer, size) < 0)
        return -1;
    memcpy(writer->p, bytes, (size_t)size);
    writer->p += size;
    return 0;
}

/* Write a zigzag varint. */
static inline int
write_long(Writer *writer, int64_t value)
{
    if (reserve(writer, 10) < 0)
        return -1;
    uint64_t number = ((uint64_t)value << 1) ^ (uint64_t)(value >> 63);
    uint8_t *p = writer->p;
    while (number > 127) {
        *p++ = (uint8_t)(number | 128);
        number >>= 7;
    }
    *p++ = (uint8_t)number;
    writer->p = p;
    return 0;
}

static inline int
write_block(Writer *writer, const void *bytes, Py_ssize_t size)
{
    return write_long(writer, size) < 0 ? -1 : write_raw(writer, bytes, size);
}

static inline void
put_little_endian(uint8_t *bytes, uint64_t number, int count)
{
    for (int i = 0; i < count; i++, number >>= 8)
        bytes[i] = (uint8_t)number;
}

#endif
