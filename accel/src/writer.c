/* Events -> bytes. */
#include "output.h"
#include <float.h>
#include <math.h>

static int write_value(Writer *writer, const Op *op, PyObject *value);

/* --- primitives --------------------------------------------------------------------------------- */

static int
write_whole(Writer *writer, OpCode kind, PyObject *value)
{
    if (!PyLong_CheckExact(value))
        return -1;
    int overflow;
    long long number = PyLong_AsLongLongAndOverflow(value, &overflow);
    if (overflow || (kind == OP_INT && (number < INT32_MIN || number > INT32_MAX)))
        return -1;
    return write_long(writer, number);
}

static int
write_floating(Writer *writer, OpCode kind, PyObject *value)
{
    if (!PyFloat_CheckExact(value))
        return -1;
    double number = PyFloat_AS_DOUBLE(value);
    if (reserve(writer, 8) < 0)
        return -1;
    if (kind == OP_DOUBLE) {
        uint64_t bits;
        memcpy(&bits, &number, sizeof bits);
        put_little_endian(writer->p, bits, 8);
        writer->p += 8;
        return 0;
    }
    if (isnan(number))
        return -1; /* the interpreter keeps a NaN's payload */
    if (!isinf(number) && fabs(number) > FLT_MAX)
        return -1;
    float narrow = (float)number;
    uint32_t bits;
    memcpy(&bits, &narrow, sizeof bits);
    put_little_endian(writer->p, bits, 4);
    writer->p += 4;
    return 0;
}

static int
write_text(Writer *writer, PyObject *value)
{
    if (!PyUnicode_CheckExact(value))
        return -1;
    Py_ssize_t size;
    const char *text = PyUnicode_AsUTF8AndSize(value, &size);
    return text == NULL ? -1 : write_block(writer, text, size);
}

static int
write_bytes(Writer *writer, PyObject *value)
{
    if (!PyBytes_CheckExact(value))
        return -1;
    return write_block(writer, PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value));
}

static int
write_fixed(Writer *writer, const Op *op, PyObject *value)
{
    if (!PyBytes_Check(value) || PyBytes_GET_SIZE(value) != op->size)
        return -1;
    return write_raw(writer, PyBytes_AS_STRING(value), op->size);
}

/* --- logical types ------------------------------------------------------------------------------ */

/* Let Python convert a value, and write the result. */
static int
write_converted(Writer *writer, const Op *op, PyObject *value)
{
    PyObject *raw = PyObject_CallOneArg(op->object, value);
    if (raw == NULL)
        return -1;
    int failed = write_value(writer, op->parts, raw);
    Py_DECREF(raw);
    return failed;
}

static int
write_temporal(Writer *writer, const Op *op, PyObject *value)
{
    int64_t units;
    int failed;
    if (op->code == OP_DATE)
        failed = date_days(value, &units);
    else if (op->code == OP_TIME)
        failed = time_units(value, op->unit, &units);
    else
        failed = datetime_units(value, op->unit, op->code == OP_LOCAL_TIMESTAMP, &units);
    if (failed || (op->parts->code == OP_INT && (units < INT32_MIN || units > INT32_MAX)))
        return write_converted(writer, op, value);
    return write_long(writer, units);
}

static int
write_decimal(Writer *writer, const Op *op, PyObject *value)
{
    int64_t unscaled;
    if (decimal_unscaled(op, value, &unscaled) < 0) {
        if (PyErr_Occurred())
            return -1;
        return write_converted(writer, op, value);
    }
    uint8_t bytes[8];
    for (int i = 7; i >= 0; i--, unscaled >>= 8)
        bytes[i] = (uint8_t)unscaled;
    if (op->parts->code == OP_FIXED) {
        Py_ssize_t size = op->parts->size, more = size - 8;
        if (more < 0) { /* the bytes in front repeat the sign, or it does not fit */
            for (Py_ssize_t i = 0; i < -more; i++)
                if (bytes[i] != (bytes[-more] & 0x80 ? 0xFF : 0))
                    return -1;
            return write_raw(writer, bytes - more, size);
        }
        if (reserve(writer, size) < 0)
            return -1;
        memset(writer->p, bytes[0] & 0x80 ? 0xFF : 0, (size_t)more);
        writer->p += more;
        return write_raw(writer, bytes, 8);
    }
    int first = 0;
    while (first < 7 && bytes[first] == (bytes[first + 1] & 0x80 ? 0xFF : 0))
        first++;
    return write_block(writer, bytes + first, 8 - first);
}

static int
write_uuid(Writer *writer, const Op *op, PyObject *value)
{
    uint8_t bytes[16];
    if (uuid_bytes(value, bytes) < 0)
        return -1;
    if (op->parts->code == OP_FIXED)
        return op->parts->size == 16 ? write_raw(writer, bytes, 16) : -1;
    if (reserve(writer, 37) < 0)
        return -1;
    *writer->p = 72; /* 36, zigzagged */
    uuid_print(bytes, (char *)writer->p + 1);
    writer->p += 37;
    return 0;
}

static int
write_enum(Writer *writer, const Op *op, PyObject *value)
{
    if (Py_TYPE(value) != (PyTypeObject *)op->cls)
        return -1;
    for (Py_ssize_t i = 0; i < op->size; i++)
        if (PyTuple_GET_ITEM(op->object, i) == value)
            return write_long(writer, i);
    return -1;
}

/* --- arrays and maps ---------------------------------------------------------------------------- */

static int
write_items(Writer *writer, const Op *op, PyObject *value, Py_ssize_t count)
{
    for (Py_ssize_t i = 0; i < count; i++) {
        /* A conversion may run any code, and that may change a list. */
        PyObject *item = items_of(value) == count ? item_at(value, i) : NULL;
        if (item == NULL)
            return -1;
        int failed = write_value(writer, op->parts, item);
        Py_DECREF(item);
        if (failed)
            return -1;
    }
    return 0;
}

static int
write_array(Writer *writer, const Op *op, PyObject *value)
{
    if (!PyTuple_CheckExact(value) && !PyList_CheckExact(value))
        return -1;
    Py_ssize_t count = items_of(value);
    if (count > 0 &&
        (write_long(writer, count) < 0 || write_items(writer, op, value, count) < 0))
        return -1;
    return write_long(writer, 0);
}

static int
write_entries(Writer *writer, const Op *op, PyObject *map, Py_ssize_t count)
{
    Py_ssize_t position = 0, written = 0;
    PyObject *key, *value;
    while (PyDict_Next(map, &position, &key, &value)) {
        Py_INCREF(key);
        Py_INCREF(value);
        int failed = write_text(writer, key) < 0 || write_value(writer, op->parts, value) < 0;
        Py_DECREF(key);
        Py_DECREF(value);
        if (failed || PyDict_GET_SIZE(map) != count || ++written > count)
            return -1;
    }
    return written == count ? 0 : -1;
}

static int
write_map(Writer *writer, const Op *op, PyObject *value)
{
    if (!PyDict_CheckExact(value))
        return -1;
    Py_ssize_t count = PyDict_GET_SIZE(value);
    int failed = 0;
    if (count > 0) {
        failed = write_long(writer, count);
        Py_BEGIN_CRITICAL_SECTION(value);
        failed = failed || write_entries(writer, op, value, count) < 0;
        Py_END_CRITICAL_SECTION();
    }
    return failed ? -1 : write_long(writer, 0);
}

/* Whether a branch certainly refuses a value, although it takes values of its class. */
static int
is_too_large(const Op *op, PyObject *value)
{
    int overflow;
    if ((op->code != OP_INT && op->code != OP_LONG) || !PyLong_CheckExact(value))
        return 0;
    long long number = PyLong_AsLongLongAndOverflow(value, &overflow);
    return overflow || (op->code == OP_INT && (number < INT32_MIN || number > INT32_MAX));
}

static int
write_union(Writer *writer, const Op *op, PyObject *value)
{
    PyTypeObject *cls = Py_TYPE(value);
    for (int i = 0; i < op->choice_count; i++) {
        const Choice *choice = &op->choices[i];
        if (choice->cls != cls)
            continue;
        int best = 0;
        while (best < choice->count - 1 && is_too_large(&op->parts[choice->branches[best]], value))
            best++;
        /* If this branch gives up, the interpreter tries them all. */
        int branch = choice->branches[best];
        return write_long(writer, branch) < 0 ? -1 : write_value(writer, &op->parts[branch], value);
    }
    return -1;
}

/* --- records ------------------------------------------------------------------------------------ */

static int
write_fields(Writer *writer, const Record *record, PyObject *value)
{
    for (Py_ssize_t i = 0; i < record->field_count; i++) {
        const Field *field = &record->fields[i];
        if (field->op.code == OP_CONSTANT) {
            PyObject *bytes = field->op.object;
            if (write_raw(writer, PyBytes_AS_STRING(bytes), PyBytes_GET_SIZE(bytes)) < 0)
                return -1;
            continue;
        }
        PyObject *part = slot_load(&field->slot, value);
        if (part == NULL)
            return -1;
        int failed = write_value(writer, &field->op, part);
        Py_DECREF(part);
        if (failed)
            return -1;
    }
    return 0;
}

static int
write_record(Writer *writer, const Op *op, PyObject *value)
{
    const Record *record = &writer->table->records[op->size];
    if (Py_TYPE(value) != record->cls)
        return -1;
    if (!record->recursive)
        return write_fields(writer, record, value);
    if (writer->depth >= writer->table->max_depth || stack_place() < writer->stack_end)
        return -1;
    writer->depth++;
    int failed = write_fields(writer, record, value);
    writer->depth--;
    return failed;
}

/* --- the whole ---------------------------------------------------------------------------------- */

static int
write_value(Writer *writer, const Op *op, PyObject *value)
{
    switch (op->code) {
    case OP_NULL:
        return value == Py_None ? 0 : -1;
    case OP_BOOLEAN: {
        uint8_t byte = value == Py_True;
        return byte || value == Py_False ? write_raw(writer, &byte, 1) : -1;
    }
    case OP_INT:
    case OP_LONG:
        return write_whole(writer, op->code, value);
    case OP_FLOAT:
    case OP_DOUBLE:
        return write_floating(writer, op->code, value);
    case OP_BYTES:
        return write_bytes(writer, value);
    case OP_STRING:
        return write_text(writer, value);
    case OP_FIXED:
        return write_fixed(writer, op, value);
    case OP_DATE:
    case OP_TIME:
    case OP_TIMESTAMP:
    case OP_LOCAL_TIMESTAMP:
        return write_temporal(writer, op, value);
    case OP_DECIMAL:
        return write_decimal(writer, op, value);
    case OP_UUID:
        return write_uuid(writer, op, value);
    case OP_CALL:
        return write_converted(writer, op, value);
    case OP_ENUM:
        return write_enum(writer, op, value);
    case OP_ARRAY:
        return write_array(writer, op, value);
    case OP_MAP:
        return write_map(writer, op, value);
    case OP_UNION:
        return write_union(writer, op, value);
    case OP_RECORD:
        return write_record(writer, op, value);
    case OP_REFUSE:
    case OP_SKIP:
    case OP_CONSTANT:
        return -1;
    }
    Py_UNREACHABLE();
}

/* Write an event behind a prefix.
 *
 * Returns NULL with an exception, or without one where the interpreter must decide. */
PyObject *
write_event(Table *table, PyObject *value, const char *prefix, Py_ssize_t size)
{
    uint8_t stack[STACK_ROOM];
    Writer writer = {table, stack, stack + STACK_ROOM, stack, NULL, 0,
                     stack_place() - STACK_BUDGET};
    if (write_raw(&writer, prefix, size) < 0 || write_value(&writer, &table->root, value) < 0) {
        buffer_free(writer.buffer);
        return NULL;
    }
    size = writer.p - writer.start;
    return writer.buffer == NULL ? PyBytes_FromStringAndSize((const char *)stack, size)
                                 : buffer_end(writer.buffer, size);
}
