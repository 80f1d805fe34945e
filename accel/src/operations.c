/* Converts the operations of a plan, which are Python objects, to those of the table. */
#include "vm.h"
#include <stdio.h>

PyObject *names[NAME_COUNT];

int
names_init(void)
{
#define NAME_TEXT(name) #name,
    static const char *const texts[] = {NAMES(NAME_TEXT)};
    for (int i = 0; i < NAME_COUNT; i++)
        if (names[i] == NULL && (names[i] = PyUnicode_InternFromString(texts[i])) == NULL)
            return -1;
    return 0;
}

/* Return an attribute, borrowed: the table keeps it. */
PyObject *
attribute_of(Table *table, PyObject *source, Name name)
{
    return table_keep(table, PyObject_GetAttr(source, names[name]));
}

int
number_of(PyObject *source, Name name, Py_ssize_t *value)
{
    PyObject *found = PyObject_GetAttr(source, names[name]);
    if (found == NULL)
        return -1;
    *value = PyNumber_AsSsize_t(found, NULL); /* values out of range are clipped */
    Py_DECREF(found);
    return *value == -1 && PyErr_Occurred() ? -1 : 0;
}

int
unsupported(const char *what)
{
    PyErr_SetString(Unsupported, what);
    return -1;
}

/* --- operations -------------------------------------------------------------------------------- */

static const char *const kinds[] = {
    "null", "boolean", "int", "long", "float", "double", "bytes", "string"};

static int
kind_of(PyObject *source, Name name, OpCode *code)
{
    PyObject *found = PyObject_GetAttr(source, names[name]);
    if (found == NULL)
        return -1;
    int known = -1;
    for (int i = 0; i < 8 && PyUnicode_Check(found); i++)
        if (PyUnicode_CompareWithASCIIString(found, kinds[i]) == 0)
            known = i;
    Py_DECREF(found);
    if (known < 0)
        return unsupported("a primitive of an unknown kind");
    *code = (OpCode)known;
    return 0;
}

static int
build_fixed(Build *build, PyObject *source, Op *op)
{
    op->code = op->wire = OP_FIXED;
    op->object = attribute_of(build->table, source, NAME_cls);
    if (op->object == NULL || number_of(source, NAME_size, &op->size) < 0)
        return -1;
    return 0;
}

static const struct {
    const char *name;
    OpCode code;
    int64_t unit;
} logical_types[] = {
    {"date", OP_DATE, 0},
    {"time-millis", OP_TIME, 1000},
    {"time-micros", OP_TIME, 1},
    {"timestamp-millis", OP_TIMESTAMP, 1000},
    {"timestamp-micros", OP_TIMESTAMP, 1},
    {"local-timestamp-millis", OP_LOCAL_TIMESTAMP, 1000},
    {"local-timestamp-micros", OP_LOCAL_TIMESTAMP, 1},
    {"decimal", OP_DECIMAL, 0},
    {"uuid", OP_UUID, 0},
};

static int
build_decimal(Build *build, PyObject *source, Op *op)
{
    Py_ssize_t precision, scale;
    if (number_of(source, NAME_precision, &precision) < 0 ||
        number_of(source, NAME_scale, &scale) < 0)
        return -1;
    if (precision < 1 || precision > 18 || scale < 0 || scale > 18)
        return 0; /* too wide for 64 bits: the conversion function does it all */
    op->scale = (int)scale;
    op->bound = 1;
    while (precision-- > 0)
        op->bound *= 10;
    if (!build->reading)
        return 0;
    char text[32];
    snprintf(text, sizeof text, "1E-%d", op->scale);
    op->cls = table_keep(build->table, PyObject_CallFunction(decimal_class, "s", text));
    return op->cls == NULL ? -1 : 0;
}

static int
build_raw(Build *build, PyObject *source, Op *op)
{
    PyObject *raw = PyObject_GetAttr(source, names[NAME_wire]);
    op->parts = table_room(build->table, 1, sizeof(Op));
    int failed = raw == NULL || op->parts == NULL || build_op(build, raw, op->parts) < 0;
    Py_XDECREF(raw);
    if (failed)
        return -1;
    op->object = table_keep(build->table, PyObject_CallOneArg(build->convert, source));
    return op->object == NULL ? -1 : 0;
}

static int
build_logical(Build *build, PyObject *source, Op *op)
{
    if (build_raw(build, source, op) < 0)
        return -1;
    PyObject *name = PyObject_GetAttr(source, names[NAME_name]);
    if (name == NULL)
        return -1;
    op->code = OP_CALL;
    for (size_t i = 0; i < Py_ARRAY_LENGTH(logical_types); i++)
        if (PyUnicode_CompareWithASCIIString(name, logical_types[i].name) == 0) {
            op->code = logical_types[i].code;
            op->unit = logical_types[i].unit;
        }
    Py_DECREF(name);
    return op->code == OP_DECIMAL ? build_decimal(build, source, op) : 0;
}

static int
build_enum(Build *build, PyObject *source, Op *op)
{
    op->code = OP_ENUM;
    op->object = attribute_of(build->table, source, NAME_values);
    if (op->object == NULL || !PyTuple_Check(op->object))
        return unsupported("an enum without a tuple of values");
    op->size = PyTuple_GET_SIZE(op->object);
    op->cls = attribute_of(build->table, source, NAME_cls); /* None if the enum is skipped */
    return op->cls == NULL ? -1 : 0;
}

static int
build_one(Build *build, PyObject *source, Name name, Op *op)
{
    PyObject *part = PyObject_GetAttr(source, names[name]);
    op->parts = table_room(build->table, 1, sizeof(Op));
    int failed = part == NULL || op->parts == NULL || build_op(build, part, op->parts) < 0;
    Py_XDECREF(part);
    return failed ? -1 : 0;
}

static int
build_choice(Build *build, PyObject *cls, PyObject *indexes, Py_ssize_t size, Choice *choice)
{
    if (!PyType_Check(cls) || !PyTuple_Check(indexes) || PyTuple_GET_SIZE(indexes) < 1)
        return unsupported("a union's choices are not classes and tuples of branches");
    Py_INCREF(cls);
    choice->cls = (PyTypeObject *)table_keep(build->table, cls);
    choice->count = (int)PyTuple_GET_SIZE(indexes);
    choice->branches = table_room(build->table, (size_t)choice->count, sizeof(int));
    if (choice->cls == NULL || choice->branches == NULL)
        return -1;
    for (int i = 0; i < choice->count; i++) {
        long index = PyLong_AsLong(PyTuple_GET_ITEM(indexes, i));
        if (index < 0 || index >= size)
            return PyErr_Occurred() ? -1 : unsupported("a union's choice is not a branch");
        choice->branches[i] = (int)index;
    }
    return 0;
}

static int
build_choices(Build *build, PyObject *source, Op *op)
{
    PyObject *choices = PyObject_GetAttr(source, names[NAME_choices]);
    PyObject *items = choices ? PyMapping_Items(choices) : NULL;
    int failed = items == NULL;
    if (!failed) {
        op->choice_count = (int)PyList_GET_SIZE(items);
        op->choices = table_room(build->table, (size_t)op->choice_count, sizeof(Choice));
        failed = op->choices == NULL;
    }
    for (int i = 0; !failed && i < op->choice_count; i++) {
        PyObject *item = PyList_GET_ITEM(items, i);
        failed = build_choice(build, PyTuple_GET_ITEM(item, 0), PyTuple_GET_ITEM(item, 1),
                              op->size, &op->choices[i]) < 0;
    }
    Py_XDECREF(items);
    Py_XDECREF(choices);
    return failed ? -1 : 0;
}

static int
build_union(Build *build, PyObject *source, Op *op)
{
    op->code = OP_UNION;
    PyObject *branches = PyObject_GetAttr(source, names[NAME_branches]);
    if (branches == NULL)
        return -1;
    int failed = !PyTuple_Check(branches);
    if (!failed) {
        op->size = PyTuple_GET_SIZE(branches);
        op->parts = table_room(build->table, (size_t)op->size, sizeof(Op));
        failed = op->parts == NULL;
    }
    for (Py_ssize_t i = 0; !failed && i < op->size; i++)
        failed = build_op(build, PyTuple_GET_ITEM(branches, i), &op->parts[i]) < 0;
    Py_DECREF(branches);
    if (failed)
        return PyErr_Occurred() ? -1 : unsupported("a union without a tuple of branches");
    return build_choices(build, source, op);
}

static int
build_primitive(Build *build, PyObject *source, Op *op)
{
    for (int i = 0; i < (int)Py_ARRAY_LENGTH(build->primitives); i++)
        if (build->primitives[i] == source) {
            op->code = op->wire = (OpCode)i;
            return 0;
        }
    if (kind_of(source, NAME_kind, &op->code) < 0)
        return -1;
    op->wire = op->code;
    Py_INCREF(source);
    build->primitives[op->code] = table_keep(build->table, source);
    return build->primitives[op->code] == NULL ? -1 : 0;
}

static int
build_promote(Build *build, PyObject *source, Op *op)
{
    return kind_of(source, NAME_kind, &op->code) < 0 ? -1 : kind_of(source, NAME_wire, &op->wire);
}

static int
build_call(Build *build, PyObject *source, Op *op)
{
    op->code = OP_CALL;
    return build_raw(build, source, op);
}

static int
build_array(Build *build, PyObject *source, Op *op)
{
    op->code = OP_ARRAY;
    return number_of(source, NAME_least, &op->least) < 0 ? -1
                                                      : build_one(build, source, NAME_items, op);
}

static int
build_map(Build *build, PyObject *source, Op *op)
{
    op->code = OP_MAP;
    return number_of(source, NAME_least, &op->least) < 0 ? -1
                                                      : build_one(build, source, NAME_values, op);
}

static int
build_record(Build *build, PyObject *source, Op *op)
{
    op->code = OP_RECORD;
    if (number_of(source, NAME_index, &op->size) < 0)
        return -1;
    return op->size >= 0 && op->size < build->table->record_count
               ? 0
               : unsupported("a record that the plan does not have");
}

static int
build_refuse(Build *build, PyObject *source, Op *op)
{
    op->code = OP_REFUSE;
    return 0;
}

static int
build_skip(Build *build, PyObject *source, Op *op)
{
    op->code = OP_SKIP;
    return build_one(build, source, NAME_op, op);
}

static int
build_constant(Build *build, PyObject *source, Op *op)
{
    op->code = OP_CONSTANT;
    op->object = attribute_of(build->table, source, NAME_data);
    if (op->object == NULL)
        return -1;
    return PyBytes_Check(op->object) ? 0 : unsupported("a constant that is not bytes");
}

static const struct {
    const char *name;
    Builder builder;
} builders[] = {
    {"Primitive", build_primitive}, {"Promote", build_promote}, {"Fixed", build_fixed},
    {"Logical", build_logical},     {"Call", build_call},       {"Enum", build_enum},
    {"Array", build_array},         {"Map", build_map},         {"Union", build_union},
    {"Record", build_record},       {"Refuse", build_refuse},   {"Skip", build_skip},
    {"Constant", build_constant},
};

static Builder
builder_named(PyTypeObject *cls)
{
    PyObject *name = PyType_GetName(cls);
    if (name == NULL)
        return NULL;
    Builder found = NULL;
    for (size_t i = 0; i < Py_ARRAY_LENGTH(builders); i++)
        if (PyUnicode_CompareWithASCIIString(name, builders[i].name) == 0)
            found = builders[i].builder;
    if (found == NULL)
        PyErr_Format(Unsupported, "an operation of an unknown class, %U", name);
    Py_DECREF(name);
    return found;
}

int
build_op(Build *build, PyObject *source, Op *op)
{
    PyTypeObject *cls = Py_TYPE(source);
    for (int i = 0; i < build->known_count; i++)
        if (build->known[i].cls == cls)
            return build->known[i].builder(build, source, op);
    Builder builder = builder_named(cls);
    if (builder == NULL)
        return -1;
    if (build->known_count < (int)Py_ARRAY_LENGTH(build->known)) {
        build->known[build->known_count].cls = cls;
        build->known[build->known_count++].builder = builder;
    }
    return builder(build, source, op);
}
