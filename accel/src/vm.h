/* What the parts of the executor share: the table that a plan becomes, and the two cursors.
 *
 * Nothing here knows Kafka, registries or schemas. Every function that can fail returns NULL or -1,
 * either with a Python exception set or without one: without one it gives up, and the caller's
 * fallback, the interpreter of the same plan, decides what the value is or what is wrong with it.
 */
#ifndef SDK_ACCEL_VM_H
#define SDK_ACCEL_VM_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>

typedef enum {
    /* primitives, which are also the types that stand on the wire */
    OP_NULL,
    OP_BOOLEAN,
    OP_INT,
    OP_LONG,
    OP_FLOAT,
    OP_DOUBLE,
    OP_BYTES,
    OP_STRING,
    OP_FIXED,
    /* logical types with a fast path; what it does not cover goes to the conversion function */
    OP_DATE,
    OP_TIME,
    OP_TIMESTAMP,
    OP_LOCAL_TIMESTAMP,
    OP_DECIMAL,
    OP_UUID,
    /* logical types that the conversion function handles alone */
    OP_CALL,
    OP_ENUM,
    OP_ARRAY,
    OP_MAP,
    OP_UNION,
    OP_RECORD,
    OP_REFUSE,
    OP_SKIP,
    OP_CONSTANT /* for writing: bytes that do not depend on the event */
} OpCode;

typedef struct Op Op;

/* Which branches of a union may take instances of a class, best first. */
typedef struct {
    PyTypeObject *cls;
    int count;
    int *branches;
} Choice;

struct Op {
    OpCode code;
    OpCode wire;        /* primitives: the type on the wire, which a promotion widens */
    int scale;          /* decimals */
    int choice_count;   /* unions, for writing */
    int64_t bound;      /* decimals: 10 ** precision, if a fast path can check it, else 0 */
    int64_t unit;       /* times: microseconds of one unit */
    Py_ssize_t size;    /* fixed: bytes; enums and unions: how many; records: index */
    Py_ssize_t least;   /* arrays and maps: least bytes of an item */
    Op *parts;          /* logical: the raw value; arrays, maps, skips: one; unions: branches */
    PyObject *object;   /* enums: values; fixed: class; logical: conversion function;
                         * constants: the bytes */
    PyObject *cls;      /* enums: class; decimals, for reading: the quantum */
    Choice *choices;
};

typedef struct {
    Op op;
    Py_ssize_t offset; /* of the slot; -1 where the value is skipped */
    PyObject *slot;    /* the slot's descriptor */
} Field;

typedef struct {
    Op op;
    Py_ssize_t offset;
    const char *data; /* the default in Avro's binary encoding */
    Py_ssize_t size;
    PyObject *bytes;  /* owner of data */
    PyObject *value;  /* what all events share, or NULL where each needs a value of its own */
} Default;

typedef struct {
    Py_ssize_t offset;
    PyObject *value;
} Preset;

typedef struct {
    PyTypeObject *cls; /* NULL where the record only occurs below a skip */
    int recursive;
    int untracked; /* instances hold only what cannot lead back to them */
    Py_ssize_t field_count, default_count, preset_count;
    Field *fields;
    Default *defaults;
    Preset *presets;
} Record;

/* Decimals by unscaled value: amounts repeat, and making one costs twenty times this look-up. */
#define MEMO_SIZE 2048
typedef struct {
    int64_t unscaled;
    int scale;
    PyObject *value;
} Memo;

/* Short keys of maps by their bytes: they repeat, and a text that is met again has its hash. */
#define KEY_CACHE_SIZE 512
#define KEY_CACHE_LONGEST 32

typedef struct {
    Op root;
    Record *records;
    Py_ssize_t record_count;
    Py_ssize_t max_depth, max_zero_size_items, max_payload_bytes;
    void **blocks; /* what the table has allocated */
    Py_ssize_t block_count, block_room;
    PyObject *owned; /* list of the objects that the table refers to */
    Memo *memo;
    PyObject **keys; /* texts of ASCII characters, or NULL */
} Table;

/* table.c */
Table *table_new(PyObject *plan, PyObject *limits, PyObject *convert, int reading);
void table_free(Table *table);

/* reader.c */
PyObject *read_event(Table *table, const uint8_t *data, Py_ssize_t size, Py_ssize_t start);
int read_defaults(Table *table);

/* writer.c */
PyObject *write_event(Table *table, PyObject *value, const char *prefix, Py_ssize_t size);

/* values.c: Python values that the executor makes and reads without calling their classes */
extern PyObject *Unsupported;
int values_init(void);
PyObject *decimal_new(Table *table, const Op *op, int64_t unscaled);
int decimal_unscaled(const Op *op, PyObject *value, int64_t *unscaled);
PyObject *uuid_new(const uint8_t bytes[16]);
int uuid_bytes(PyObject *value, uint8_t bytes[16]);
int uuid_parse(const char *text, Py_ssize_t size, uint8_t bytes[16]);
void uuid_print(const uint8_t bytes[16], char text[36]);
PyObject *date_new(int64_t days);
PyObject *time_new(int64_t units, int64_t unit);
PyObject *datetime_new(int64_t units, int64_t unit, int local);
int date_days(PyObject *value, int64_t *days);
int time_units(PyObject *value, int64_t unit, int64_t *units);
int datetime_units(PyObject *value, int64_t unit, int local, int64_t *units);
Py_ssize_t slot_offset(PyTypeObject *cls, PyObject *name, PyObject **descriptor);

/* Stores into and loads from an instance. A load returns a new reference, or NULL where the slot
 * is empty. Free-threaded builds go through the descriptor, which other threads may race with. */
static inline void
slot_store(PyObject *instance, Py_ssize_t offset, PyObject *value)
{
    *(PyObject **)((char *)instance + offset) = value;
}

static inline PyObject *
slot_load(PyObject *instance, const Field *field)
{
#ifdef Py_GIL_DISABLED
    PyObject *value = Py_TYPE(field->slot)->tp_descr_get(
        field->slot, instance, (PyObject *)Py_TYPE(instance));
    if (value == NULL)
        PyErr_Clear();
    return value;
#else
    PyObject *value = *(PyObject **)((char *)instance + field->offset);
    Py_XINCREF(value);
    return value;
#endif
}

#endif
