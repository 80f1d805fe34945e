/* Shared by the parts of the executor: the table of a plan, and the two cursors.
 *
 * Nothing here knows Kafka, registries or schemas. Every function that can fail returns NULL or -1,
 * either with a Python exception set or without one: without one it gives up, and the caller's
 * fallback, the interpreter of the same plan, returns the value or raises the error.
 */
#ifndef SDK_ACCEL_VM_H
#define SDK_ACCEL_VM_H

#include "abi.h"

typedef enum {
    /* primitives, which are also the types on the wire */
    OP_NULL,
    OP_BOOLEAN,
    OP_INT,
    OP_LONG,
    OP_FLOAT,
    OP_DOUBLE,
    OP_BYTES,
    OP_STRING,
    OP_FIXED,
    /* logical types with a fast path; the conversion function covers the rest */
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
    Slot slot; /* no descriptor if the value is skipped */
} Field;

typedef struct {
    Op op;
    Slot slot;
    PyObject *bytes; /* the default in Avro's binary encoding */
    PyObject *value; /* shared by all events, or NULL if each needs its own value */
} Default;

typedef struct {
    Slot slot;
    PyObject *value;
} Preset;

typedef struct {
    PyTypeObject *cls; /* NULL if the record only occurs below a skip */
    allocfunc make;
    int recursive;
    int untracked; /* instances hold only values that cannot refer back to them */
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
#define KEY_CACHE_LONGEST 24
typedef struct {
    PyObject *text;
    Py_ssize_t size;
    char bytes[KEY_CACHE_LONGEST];
} Key;

/* Records inside each other take C stack, of which a thread may have little, whatever the limit of
 * depth is. Beyond this many bytes the interpreter takes over, which Python guards. */
#define STACK_BUDGET 131072

static inline uintptr_t
stack_place(void)
{
    volatile char here = 0;
    return (uintptr_t)&here;
}

typedef struct {
    Op root;
    Record *records;
    Py_ssize_t record_count;
    Py_ssize_t max_depth, max_zero_size_items, max_payload_bytes;
    void **blocks; /* what the table has allocated */
    Py_ssize_t block_count, block_room;
    PyObject *owned; /* list of the objects that the table refers to */
    Memo *memo;
    Key *keys;
} Table;

/* The attributes of plans, limits and classes that are read. Their names are interned once: a C
 * string would become a new text at each of a few hundred look-ups. */
#define NAMES(X) \
    X(__dictoffset__) X(__itemsize__) X(attribute) X(branches) X(build) X(choices) X(cls) X(data) \
    X(defaults) X(fields) X(fresh) X(index) X(items) X(kind) X(least) X(max_depth) \
    X(max_payload_bytes) X(max_zero_size_items) X(name) X(op) X(precision) X(presets) X(records) \
    X(recursive) X(root) X(scale) X(size) X(values) X(wire)
#define NAME_CODE(name) NAME_##name,
typedef enum { NAMES(NAME_CODE) NAME_COUNT } Name;
extern PyObject *names[NAME_COUNT];

/* abi.c */
int abi_init(void);
int slot_find(PyTypeObject *cls, PyObject *name, Slot *slot);

/* table.c */
Table *table_new(PyObject *plan, PyObject *limits, PyObject *convert, int reading);
void table_free(Table *table);
void *table_room(Table *table, size_t count, size_t size);
PyObject *table_keep(Table *table, PyObject *object);

/* operations.c */
typedef struct Build Build;
typedef int (*Builder)(Build *build, PyObject *source, Op *op);

struct Build {
    Table *table;
    PyObject *convert; /* operation -> function that converts its raw values */
    int reading;
    int known_count;
    struct {
        PyTypeObject *cls;
        Builder builder;
    } known[16]; /* classes of operations that were met */
    PyObject *primitives[OP_STRING + 1]; /* those that were met, by kind: plans share them */
};

int build_op(Build *build, PyObject *source, Op *op);
int names_init(void);
PyObject *attribute_of(Table *table, PyObject *source, Name name);
int number_of(PyObject *source, Name name, Py_ssize_t *value);
int unsupported(const char *what);

/* reader.c */
PyObject *read_event(Table *table, const uint8_t *data, Py_ssize_t size, Py_ssize_t start);
int read_defaults(Table *table);

/* writer.c */
PyObject *write_event(Table *table, PyObject *value, const char *prefix, Py_ssize_t size);

/* values.c and times.c: values that are made and read without calling their classes */
extern PyObject *Unsupported, *decimal_class;
int values_init(void);
int times_init(void);
PyObject *imported(const char *module, const char *name);
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

#endif
