/* A position in a payload, and reading from there. */
#ifndef SDK_ACCEL_CURSOR_H
#define SDK_ACCEL_CURSOR_H

#include "vm.h"

typedef struct {
    Table *table;
    const uint8_t *p, *end;
    Py_ssize_t depth, empty_items;
    uintptr_t stack_end;
} Reader;

/* Read a zigzag varint of at most 64 bits; one with needless bytes is refused. */
static inline int
read_long(Reader *reader, int64_t *value)
{
    const uint8_t *p = reader->p, *end = reader->end;
    if (p >= end)
        return -1;
    uint64_t number = *p++;
    if (number >= 128) {
        int shift = 7;
        uint64_t byte;
        number &= 127;
        do {
            if (p >= end || shift > 63)
                return -1;
            byte = *p++;
            if (shift == 63 && byte > 1)
                return -1;
            number |= (byte & 127) << shift;
            shift += 7;
        } while (byte >= 128);
        if (byte == 0)
            return -1;
    }
    reader->p = p;
    *value = (int64_t)(number >> 1) ^ -(int64_t)(number & 1);
    return 0;
}

static inline int
read_int(Reader *reader, int64_t *value)
{
    if (read_long(reader, value) < 0)
        return -1;
    return *value >= INT32_MIN && *value <= INT32_MAX ? 0 : -1;
}

/* Read a whole number of the wire type that a plan names. */
static inline int
read_whole(Reader *reader, OpCode wire, int64_t *value)
{
    return wire == OP_INT ? read_int(reader, value) : read_long(reader, value);
}

static inline const uint8_t *
take(Reader *reader, int64_t size)
{
    if (size < 0 || size > reader->end - reader->p)
        return NULL;
    const uint8_t *taken = reader->p;
    reader->p += size;
    return taken;
}

/* Take bytes behind their length. */
static inline const uint8_t *
take_block(Reader *reader, int64_t *size)
{
    return read_long(reader, size) < 0 ? NULL : take(reader, *size);
}

static inline uint64_t
little_endian(const uint8_t *bytes, int count)
{
    uint64_t number = 0;
    while (count-- > 0)
        number = number << 8 | bytes[count];
    return number;
}

/* Return -1 for a signalling NaN: whether it stays one depends on the version of Python. */
static inline int
float_at(const uint8_t *bytes, double *value)
{
    uint32_t bits = (uint32_t)little_endian(bytes, 4);
    float narrow;
    memcpy(&narrow, &bits, sizeof narrow);
    *value = narrow;
    return narrow != narrow && (bits & 0x400000) == 0 ? -1 : 0;
}

static inline double
double_at(const uint8_t *bytes)
{
    uint64_t bits = little_endian(bytes, 8);
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Read the head of a block; return its count, 0 at the end and -1 where it cannot be right. With
 * skipped, a block that says its size is jumped over, and the next one is read. */
static inline int64_t
next_block(Reader *reader, Py_ssize_t least, int skipped)
{
    for (;;) {
        int64_t count, size;
        if (read_long(reader, &count) < 0 || count == INT64_MIN)
            return -1;
        if (count == 0)
            return 0;
        if (count < 0) {
            count = -count;
            if (read_long(reader, &size) < 0 || size < 0 || size > reader->end - reader->p)
                return -1;
            if (skipped) {
                reader->p += size;
                continue;
            }
        }
        if (least > 0) {
            if (count > (reader->end - reader->p) / least)
                return -1;
        } else {
            if (count > reader->table->max_zero_size_items - reader->empty_items)
                return -1;
            reader->empty_items += (Py_ssize_t)count;
        }
        return count;
    }
}

/* Count a record; -1 where there are too many inside each other. */
static inline int
enter(Reader *reader, const Record *record)
{
    if (!record->recursive)
        return 0;
    if (reader->depth >= reader->table->max_depth || stack_place() < reader->stack_end)
        return -1;
    reader->depth++;
    return 0;
}

static inline void
leave(Reader *reader, const Record *record)
{
    reader->depth -= record->recursive;
}

/* skipper.c */
int skip_value(Reader *reader, const Op *op);

#endif
