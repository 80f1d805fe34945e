/* Bytes -> events. */
#include "cursor.h"
#include "items.h"

static PyObject *read_value(Reader *reader, const Op *op);

/* --- primitives --------------------------------------------------------------------------------- */

static PyObject *
read_boolean(Reader *reader)
{
    const uint8_t *byte = take(reader, 1);
    if (byte == NULL || *byte > 1)
        return NULL;
    return PyBool_FromLong(*byte);
}

/* Read a number as a float, widening the type on the wire. */
static PyObject *
read_floating(Reader *reader, const Op *op)
{
    const uint8_t *bytes;
    int64_t whole;
    double number;
    switch (op->wire) {
    case OP_DOUBLE:
        bytes = take(reader, 8);
        return bytes ? PyFloat_FromDouble(double_at(bytes)) : NULL;
    case OP_FLOAT:
        bytes = take(reader, 4);
        return bytes && float_at(bytes, &number) == 0 ? PyFloat_FromDouble(number) : NULL;
    default:
        if (read_whole(reader, op->wire, &whole) < 0)
            return NULL;
        /* One rounding, from the whole number to 32 bits, as Java's cast does. */
        return PyFloat_FromDouble(op->code == OP_FLOAT ? (double)(float)whole : (double)whole);
    }
}

static PyObject *
read_text(Reader *reader)
{
    int64_t size;
    const uint8_t *bytes = take_block(reader, &size);
    return bytes ? text_new((const char *)bytes, (Py_ssize_t)size) : NULL;
}

static PyObject *
read_bytes(Reader *reader)
{
    int64_t size;
    const uint8_t *bytes = take_block(reader, &size);
    return bytes ? PyBytes_FromStringAndSize((const char *)bytes, (Py_ssize_t)size) : NULL;
}

static PyObject *
read_fixed(Reader *reader, const Op *op)
{
    const uint8_t *bytes = take(reader, op->size);
    PyObject *made = bytes ? PyBytes_FromStringAndSize((const char *)bytes, op->size) : NULL;
    if (made == NULL || op->object == (PyObject *)&PyBytes_Type)
        return made;
    PyObject *instance = PyObject_CallOneArg(op->object, made);
    Py_DECREF(made);
    return instance;
}

/* --- logical types ------------------------------------------------------------------------------ */

/* Read the raw value from its start, and let Python convert it. */
static PyObject *
read_converted(Reader *reader, const Op *op, const uint8_t *start)
{
    reader->p = start;
    PyObject *raw = read_value(reader, op->parts);
    if (raw == NULL)
        return NULL;
    PyObject *value = PyObject_CallOneArg(op->object, raw);
    Py_DECREF(raw);
    return value;
}

static PyObject *
read_temporal(Reader *reader, const Op *op)
{
    int64_t units;
    if (read_whole(reader, op->parts->wire, &units) < 0)
        return NULL;
    switch (op->code) {
    case OP_DATE:
        return date_new(units);
    case OP_TIME:
        return time_new(units, op->unit);
    default:
        return datetime_new(units, op->unit, op->code == OP_LOCAL_TIMESTAMP);
    }
}

static PyObject *
read_decimal(Reader *reader, const Op *op)
{
    const uint8_t *start = reader->p, *bytes;
    int64_t size = op->parts->size;
    bytes = op->parts->code == OP_FIXED ? take(reader, size) : take_block(reader, &size);
    if (bytes == NULL || size == 0)
        return NULL;
    if (op->bound == 0 || size > 8)
        return read_converted(reader, op, start);
    uint64_t unscaled = bytes[0] & 0x80 ? UINT64_MAX : 0;
    for (int64_t i = 0; i < size; i++)
        unscaled = unscaled << 8 | bytes[i];
    int64_t number = (int64_t)unscaled;
    if (number >= op->bound || number <= -op->bound)
        return read_converted(reader, op, start);
    return decimal_new(reader->table, op, number);
}

static PyObject *
read_uuid(Reader *reader, const Op *op)
{
    const uint8_t *start = reader->p, *text;
    uint8_t parsed[16];
    int64_t size;
    if (op->parts->code == OP_FIXED) {
        const uint8_t *bytes = op->parts->size == 16 ? take(reader, 16) : NULL;
        return bytes ? uuid_new(bytes) : NULL;
    }
    text = take_block(reader, &size);
    if (text == NULL)
        return NULL;
    if (uuid_parse((const char *)text, (Py_ssize_t)size, parsed) < 0)
        return read_converted(reader, op, start);
    return uuid_new(parsed);
}

static PyObject *
read_enum(Reader *reader, const Op *op)
{
    int64_t index;
    if (read_int(reader, &index) < 0 || index < 0 || index >= op->size)
        return NULL;
    PyObject *value = PyTuple_GET_ITEM(op->object, (Py_ssize_t)index);
    if (value == Py_None)
        return NULL;
    Py_INCREF(value);
    return value;
}

/* --- arrays and maps ---------------------------------------------------------------------------- */

static PyObject *
read_array(Reader *reader, const Op *op)
{
    Items items;
    items.items = items.few;
    items.count = 0;
    items.room = FEW;
    int64_t left;
    while ((left = next_block(reader, op->least, 0)) > 0) {
        while (left-- > 0) {
            PyObject *item = read_value(reader, op->parts);
            if (item == NULL)
                return items_end(&items, 1);
            if (items.count == items.room && items_grow(&items) < 0) {
                Py_DECREF(item);
                return items_end(&items, 1);
            }
            items.items[items.count++] = item;
        }
    }
    return items_end(&items, left < 0);
}

#ifndef Py_GIL_DISABLED
/* Return a short key from the cache, or make it and keep it there (FNV-1a). */
static PyObject *
known_key(Table *table, const char *bytes, Py_ssize_t size)
{
    uint32_t hash = 2166136261u;
    for (Py_ssize_t i = 0; i < size; i++)
        hash = (hash ^ (uint8_t)bytes[i]) * 16777619u;
    if (table->keys == NULL &&
        (table->keys = PyMem_Calloc(KEY_CACHE_SIZE, sizeof(Key))) == NULL)
        return PyErr_NoMemory();
    Key *key = &table->keys[(hash ^ hash >> 15) % KEY_CACHE_SIZE];
    if (key->text != NULL && key->size == size && memcmp(key->bytes, bytes, (size_t)size) == 0) {
        Py_INCREF(key->text);
        return key->text;
    }
    PyObject *text = text_new(bytes, size), *former = key->text;
    if (text != NULL) {
        memcpy(key->bytes, bytes, (size_t)size);
        key->size = size;
        Py_INCREF(text);
        key->text = text;
        Py_XDECREF(former);
    }
    return text;
}
#endif

static PyObject *
read_key(Reader *reader)
{
    int64_t size;
    const uint8_t *bytes = take_block(reader, &size);
    if (bytes == NULL)
        return NULL;
#ifndef Py_GIL_DISABLED
    if (size <= KEY_CACHE_LONGEST)
        return known_key(reader->table, (const char *)bytes, (Py_ssize_t)size);
#endif
    return text_new((const char *)bytes, (Py_ssize_t)size);
}

static PyObject *
read_map(Reader *reader, const Op *op)
{
    PyObject *map = PyDict_New();
    if (map == NULL)
        return NULL;
    int64_t left;
    while ((left = next_block(reader, op->least, 0)) > 0) {
        while (left-- > 0) {
            PyObject *key = read_key(reader);
            PyObject *value = key ? read_value(reader, op->parts) : NULL;
            int failed = value == NULL || PyDict_SetItem(map, key, value) < 0;
            Py_XDECREF(key);
            Py_XDECREF(value);
            if (failed) {
                Py_DECREF(map);
                return NULL;
            }
        }
    }
    if (left < 0)
        Py_CLEAR(map);
    return map;
}

static PyObject *
read_union(Reader *reader, const Op *op)
{
    int64_t index;
    if (read_int(reader, &index) < 0 || index < 0 || index >= op->size)
        return NULL;
    return read_value(reader, &op->parts[index]);
}

/* --- records ------------------------------------------------------------------------------------ */

static PyObject *
read_default(Table *table, const Default *value, Py_ssize_t depth, uintptr_t stack_end)
{
    const uint8_t *data = (const uint8_t *)PyBytes_AS_STRING(value->bytes);
    Reader reader = {table, data, data + PyBytes_GET_SIZE(value->bytes), depth, 0, stack_end};
    return read_value(&reader, &value->op);
}

static PyObject *
default_value(Reader *reader, const Default *value)
{
    if (value->value != NULL) {
        Py_INCREF(value->value);
        return value->value;
    }
    return read_default(reader->table, value, reader->depth, reader->stack_end);
}

/* Read a value into a slot. */
static inline int
fill_slot(const Slot *slot, PyObject *instance, PyObject *value)
{
    return value == NULL ? -1 : slot_store(slot, instance, value);
}

static int
fill(Reader *reader, const Record *record, PyObject *instance)
{
    for (Py_ssize_t i = 0; i < record->field_count; i++) {
        const Field *field = &record->fields[i];
        if (field->slot.descriptor == NULL) {
            const Op *op = field->op.code == OP_SKIP ? field->op.parts : &field->op;
            if (skip_value(reader, op) < 0)
                return -1;
        } else if (fill_slot(&field->slot, instance, read_value(reader, &field->op)) < 0)
            return -1;
    }
    for (Py_ssize_t i = 0; i < record->default_count; i++) {
        const Default *value = &record->defaults[i];
        if (fill_slot(&value->slot, instance, default_value(reader, value)) < 0)
            return -1;
    }
    for (Py_ssize_t i = 0; i < record->preset_count; i++) {
        const Preset *preset = &record->presets[i];
        Py_INCREF(preset->value);
        if (fill_slot(&preset->slot, instance, preset->value) < 0)
            return -1;
    }
    return 0;
}

static PyObject *
read_record(Reader *reader, const Op *op)
{
    const Record *record = &reader->table->records[op->size];
    if (record->cls == NULL || enter(reader, record) < 0)
        return NULL;
    PyObject *instance = record->make(record->cls, 0);
    if (instance != NULL) {
        if (fill(reader, record, instance) < 0)
            Py_CLEAR(instance);
        else if (record->untracked)
            PyObject_GC_UnTrack(instance);
    }
    leave(reader, record);
    return instance;
}

/* --- the whole ---------------------------------------------------------------------------------- */

static PyObject *
read_value(Reader *reader, const Op *op)
{
    int64_t number;
    switch (op->code) {
    case OP_NULL:
        Py_RETURN_NONE;
    case OP_BOOLEAN:
        return read_boolean(reader);
    case OP_INT:
        return read_int(reader, &number) < 0 ? NULL : PyLong_FromLong((long)number);
    case OP_LONG:
        return read_whole(reader, op->wire, &number) < 0 ? NULL : PyLong_FromLongLong(number);
    case OP_FLOAT:
    case OP_DOUBLE:
        return read_floating(reader, op);
    case OP_BYTES:
        return read_bytes(reader);
    case OP_STRING:
        return read_text(reader);
    case OP_FIXED:
        return read_fixed(reader, op);
    case OP_DATE:
    case OP_TIME:
    case OP_TIMESTAMP:
    case OP_LOCAL_TIMESTAMP:
        return read_temporal(reader, op);
    case OP_DECIMAL:
        return read_decimal(reader, op);
    case OP_UUID:
        return read_uuid(reader, op);
    case OP_CALL:
        return read_converted(reader, op, reader->p);
    case OP_ENUM:
        return read_enum(reader, op);
    case OP_ARRAY:
        return read_array(reader, op);
    case OP_MAP:
        return read_map(reader, op);
    case OP_UNION:
        return read_union(reader, op);
    case OP_RECORD:
        return read_record(reader, op);
    case OP_SKIP:
        if (skip_value(reader, op->parts) < 0)
            return NULL;
        Py_RETURN_NONE;
    case OP_REFUSE:
    case OP_CONSTANT:
        return NULL;
    }
    Py_UNREACHABLE();
}

/* Read an event that starts at `start` and ends with the data.
 *
 * Returns NULL with an exception, or without one where the interpreter must decide. */
PyObject *
read_event(Table *table, const uint8_t *data, Py_ssize_t size, Py_ssize_t start)
{
    if (start < 0 || start > size || size > table->max_payload_bytes)
        return NULL;
    Reader reader = {table, data + start, data + size, 0, 0, stack_place() - STACK_BUDGET};
    PyObject *value = read_value(&reader, &table->root);
    if (value != NULL && reader.p != reader.end)
        Py_CLEAR(value);
    return value;
}

/* Read the defaults that all events share. */
int
read_defaults(Table *table)
{
    for (Py_ssize_t i = 0; i < table->record_count; i++) {
        Record *record = &table->records[i];
        for (Py_ssize_t j = 0; j < record->default_count; j++) {
            Default *value = &record->defaults[j];
            if (value->value == NULL)
                continue;
            value->value = NULL;
            PyObject *made = read_default(table, value, 0, stack_place() - STACK_BUDGET);
            if (made == NULL) {
                if (!PyErr_Occurred())
                    PyErr_SetString(Unsupported, "a default that cannot be read");
                return -1;
            }
            int failed = PyList_Append(table->owned, made);
            Py_DECREF(made);
            if (failed < 0)
                return -1;
            value->value = made;
        }
    }
    return 0;
}
