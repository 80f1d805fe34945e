/* From a plan, which is Python objects, to the table that the readers and writers walk. */
#include "vm.h"
#include <string.h>

typedef struct {
    Table *table;
    PyObject *convert; /* operation -> function that converts its raw values */
    int reading;
} Build;

static int build_op(Build *build, PyObject *source, Op *op);

/* --- memory that lives as long as the table ---------------------------------------------------- */

static void *
allocate(Table *table, size_t count, size_t size)
{
    if (table->block_count == table->block_room) {
        Py_ssize_t room = table->block_room ? table->block_room * 2 : 16;
        void **blocks = PyMem_Realloc(table->blocks, (size_t)room * sizeof(void *));
        if (blocks == NULL) {
            PyErr_NoMemory();
            return NULL;
        }
        table->blocks = blocks;
        table->block_room = room;
    }
    void *made = PyMem_Calloc(count ? count : 1, size);
    if (made == NULL)
        PyErr_NoMemory();
    else
        table->blocks[table->block_count++] = made;
    return made;
}

/* Keep a new reference for as long as the table lives; return it borrowed. */
static PyObject *
keep(Table *table, PyObject *object)
{
    if (object == NULL)
        return NULL;
    int failed = PyList_Append(table->owned, object);
    Py_DECREF(object);
    return failed < 0 ? NULL : object;
}

static PyObject *
attribute(Table *table, PyObject *source, const char *name)
{
    return keep(table, PyObject_GetAttrString(source, name));
}

static int
number(PyObject *source, const char *name, Py_ssize_t *value)
{
    PyObject *found = PyObject_GetAttrString(source, name);
    if (found == NULL)
        return -1;
    *value = PyNumber_AsSsize_t(found, NULL); /* what is out of range is clipped */
    Py_DECREF(found);
    return *value == -1 && PyErr_Occurred() ? -1 : 0;
}

static int
unsupported(const char *what)
{
    PyErr_SetString(Unsupported, what);
    return -1;
}

/* --- operations -------------------------------------------------------------------------------- */

static const char *const kinds[] = {
    "null", "boolean", "int", "long", "float", "double", "bytes", "string"};

static int
kind_of(PyObject *source, const char *name, OpCode *code)
{
    PyObject *found = PyObject_GetAttrString(source, name);
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
    op->object = attribute(build->table, source, "cls");
    if (op->object == NULL || number(source, "size", &op->size) < 0)
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
    if (number(source, "precision", &precision) < 0 || number(source, "scale", &scale) < 0)
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
    PyObject *module = PyImport_ImportModule("decimal");
    if (module == NULL)
        return -1;
    op->cls = keep(build->table, PyObject_CallMethod(module, "Decimal", "s", text));
    Py_DECREF(module);
    return op->cls == NULL ? -1 : 0;
}

static int
build_raw(Build *build, PyObject *source, Op *op)
{
    PyObject *raw = PyObject_GetAttrString(source, "wire");
    op->parts = allocate(build->table, 1, sizeof(Op));
    int failed = raw == NULL || op->parts == NULL || build_op(build, raw, op->parts) < 0;
    Py_XDECREF(raw);
    if (failed)
        return -1;
    op->object = keep(build->table, PyObject_CallOneArg(build->convert, source));
    return op->object == NULL ? -1 : 0;
}

static int
build_logical(Build *build, PyObject *source, Op *op)
{
    if (build_raw(build, source, op) < 0)
        return -1;
    PyObject *name = PyObject_GetAttrString(source, "name");
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
    op->object = attribute(build->table, source, "values");
    if (op->object == NULL || !PyTuple_Check(op->object))
        return unsupported("an enum without a tuple of values");
    op->size = PyTuple_GET_SIZE(op->object);
    op->cls = attribute(build->table, source, "cls"); /* None where the enum is skipped */
    return op->cls == NULL ? -1 : 0;
}

static int
build_one(Build *build, PyObject *source, const char *name, Op *op)
{
    PyObject *part = PyObject_GetAttrString(source, name);
    op->parts = allocate(build->table, 1, sizeof(Op));
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
    choice->cls = (PyTypeObject *)keep(build->table, cls);
    choice->count = (int)PyTuple_GET_SIZE(indexes);
    choice->branches = allocate(build->table, (size_t)choice->count, sizeof(int));
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
    PyObject *choices = PyObject_GetAttrString(source, "choices");
    PyObject *items = choices ? PyMapping_Items(choices) : NULL;
    int failed = items == NULL;
    if (!failed) {
        op->choice_count = (int)PyList_GET_SIZE(items);
        op->choices = allocate(build->table, (size_t)op->choice_count, sizeof(Choice));
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
    PyObject *branches = PyObject_GetAttrString(source, "branches");
    if (branches == NULL)
        return -1;
    int failed = !PyTuple_Check(branches);
    if (!failed) {
        op->size = PyTuple_GET_SIZE(branches);
        op->parts = allocate(build->table, (size_t)op->size, sizeof(Op));
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
build_op(Build *build, PyObject *source, Op *op)
{
    const char *name = strrchr(Py_TYPE(source)->tp_name, '.');
    name = name ? name + 1 : Py_TYPE(source)->tp_name;
    if (strcmp(name, "Primitive") == 0) {
        if (kind_of(source, "kind", &op->code) < 0)
            return -1;
        op->wire = op->code;
        return 0;
    }
    if (strcmp(name, "Promote") == 0)
        return kind_of(source, "kind", &op->code) < 0 ? -1 : kind_of(source, "wire", &op->wire);
    if (strcmp(name, "Fixed") == 0)
        return build_fixed(build, source, op);
    if (strcmp(name, "Logical") == 0)
        return build_logical(build, source, op);
    if (strcmp(name, "Call") == 0) {
        op->code = OP_CALL;
        return build_raw(build, source, op);
    }
    if (strcmp(name, "Enum") == 0)
        return build_enum(build, source, op);
    if (strcmp(name, "Array") == 0) {
        op->code = OP_ARRAY;
        return number(source, "least", &op->least) < 0 ? -1 : build_one(build, source, "items", op);
    }
    if (strcmp(name, "Map") == 0) {
        op->code = OP_MAP;
        return number(source, "least", &op->least) < 0 ? -1
                                                       : build_one(build, source, "values", op);
    }
    if (strcmp(name, "Union") == 0)
        return build_union(build, source, op);
    if (strcmp(name, "Record") == 0) {
        op->code = OP_RECORD;
        if (number(source, "index", &op->size) < 0)
            return -1;
        return op->size >= 0 && op->size < build->table->record_count
                   ? 0
                   : unsupported("a record that the plan does not have");
    }
    if (strcmp(name, "Refuse") == 0) {
        op->code = OP_REFUSE;
        return 0;
    }
    if (strcmp(name, "Constant") == 0) {
        op->code = OP_CONSTANT;
        op->object = attribute(build->table, source, "data");
        if (op->object == NULL)
            return -1;
        return PyBytes_Check(op->object) ? 0 : unsupported("a constant that is not bytes");
    }
    if (strcmp(name, "Skip") == 0) {
        op->code = OP_SKIP;
        return build_one(build, source, "op", op);
    }
    PyErr_Format(Unsupported, "an operation of an unknown class, %s", name);
    return -1;
}

/* --- records ----------------------------------------------------------------------------------- */

static PyObject *
tuple_of(Table *table, PyObject *source, const char *name, Py_ssize_t *size)
{
    PyObject *found = attribute(table, source, name);
    if (found == NULL)
        return NULL;
    if (!PyTuple_Check(found)) {
        PyErr_Format(Unsupported, "%s is not a tuple", name);
        return NULL;
    }
    *size = PyTuple_GET_SIZE(found);
    return found;
}

static int
build_field(Build *build, PyObject *source, Record *record, Field *field)
{
    PyObject *op = PyObject_GetAttrString(source, "op");
    PyObject *name = PyObject_GetAttrString(source, "attribute");
    int failed = op == NULL || name == NULL || build_op(build, op, &field->op) < 0;
    field->offset = -1;
    if (!failed && name != Py_None && record->cls != NULL) {
        field->offset = slot_offset(record->cls, name, &field->slot);
        failed = field->offset < 0 || keep(build->table, field->slot) == NULL;
    }
    Py_XDECREF(op);
    Py_XDECREF(name);
    return failed ? -1 : 0;
}

static int
build_default(Build *build, PyObject *source, Record *record, Default *value)
{
    PyObject *op = PyObject_GetAttrString(source, "op");
    PyObject *name = PyObject_GetAttrString(source, "attribute");
    int failed = op == NULL || name == NULL || build_op(build, op, &value->op) < 0;
    if (!failed) {
        value->bytes = attribute(build->table, source, "data");
        value->offset = record->cls ? slot_offset(record->cls, name, NULL) : -1;
        failed = value->bytes == NULL || value->offset < 0 || !PyBytes_Check(value->bytes);
    }
    if (!failed) {
        value->data = PyBytes_AS_STRING(value->bytes);
        value->size = PyBytes_GET_SIZE(value->bytes);
        PyObject *fresh = PyObject_GetAttrString(source, "fresh");
        int each = fresh ? PyObject_IsTrue(fresh) : -1;
        Py_XDECREF(fresh);
        value->value = each ? NULL : Py_None; /* Py_None: to be read once, see read_defaults */
        failed = each < 0;
    }
    Py_XDECREF(op);
    Py_XDECREF(name);
    if (failed && !PyErr_Occurred())
        return unsupported("a default that is not bytes");
    return failed ? -1 : 0;
}

static int
build_preset(Build *build, PyObject *source, Record *record, Preset *preset)
{
    if (!PyTuple_Check(source) || PyTuple_GET_SIZE(source) != 2 || record->cls == NULL)
        return unsupported("a preset is not a pair of name and value");
    preset->offset = slot_offset(record->cls, PyTuple_GET_ITEM(source, 0), NULL);
    preset->value = PyTuple_GET_ITEM(source, 1);
    Py_INCREF(preset->value);
    return preset->offset < 0 || keep(build->table, preset->value) == NULL ? -1 : 0;
}

/* Take the class of a record whose instances are made by filling slots. */
static int
build_class(Build *build, PyObject *source, Record *record)
{
    PyObject *how = attribute(build->table, source, "build");
    PyObject *cls = attribute(build->table, source, "cls");
    if (how == NULL || cls == NULL)
        return -1;
    if (PyUnicode_CompareWithASCIIString(how, "skip") == 0)
        return 0;
    if (PyUnicode_CompareWithASCIIString(how, "slots") != 0)
        return unsupported("a class whose constructor must be called");
    if (!PyType_Check(cls) || !(((PyTypeObject *)cls)->tp_flags & Py_TPFLAGS_HEAPTYPE) ||
        ((PyTypeObject *)cls)->tp_itemsize != 0)
        return unsupported("a class whose instances cannot be made by filling slots");
    record->cls = (PyTypeObject *)cls;
    return 0;
}

static int
build_record(Build *build, PyObject *source, Record *record)
{
    Table *table = build->table;
    Py_ssize_t recursive;
    PyObject *fields = tuple_of(table, source, "fields", &record->field_count);
    PyObject *defaults = tuple_of(table, source, "defaults", &record->default_count);
    PyObject *presets = tuple_of(table, source, "presets", &record->preset_count);
    if (fields == NULL || defaults == NULL || presets == NULL ||
        number(source, "recursive", &recursive) < 0 || build_class(build, source, record) < 0)
        return -1;
    record->recursive = recursive != 0;
    record->fields = allocate(table, (size_t)record->field_count, sizeof(Field));
    record->defaults = allocate(table, (size_t)record->default_count, sizeof(Default));
    record->presets = allocate(table, (size_t)record->preset_count, sizeof(Preset));
    if (record->fields == NULL || record->defaults == NULL || record->presets == NULL)
        return -1;
    for (Py_ssize_t i = 0; i < record->field_count; i++)
        if (build_field(build, PyTuple_GET_ITEM(fields, i), record, &record->fields[i]) < 0)
            return -1;
    for (Py_ssize_t i = 0; i < record->default_count; i++)
        if (build_default(build, PyTuple_GET_ITEM(defaults, i), record, &record->defaults[i]) < 0)
            return -1;
    for (Py_ssize_t i = 0; i < record->preset_count; i++)
        if (build_preset(build, PyTuple_GET_ITEM(presets, i), record, &record->presets[i]) < 0)
            return -1;
    return 0;
}

/* --- what the collector need not look at ------------------------------------------------------- */

/* Whether values of an operation can never lead back to what holds them: they are atoms, or made
 * of atoms alone, and nobody can change them. */
static int
is_closed(const Table *table, const Op *op)
{
    switch (op->code) {
    case OP_FIXED:
        return op->object == (PyObject *)&PyBytes_Type;
    case OP_CALL:
    case OP_MAP:
        return 0;
    case OP_ARRAY:
        return is_closed(table, op->parts);
    case OP_UNION:
        for (Py_ssize_t i = 0; i < op->size; i++)
            if (!is_closed(table, &op->parts[i]))
                return 0;
        return 1;
    case OP_RECORD:
        return table->records[op->size].untracked;
    default:
        return 1;
    }
}

static int
only_closed(const Table *table, const Record *record)
{
    for (Py_ssize_t i = 0; i < record->field_count; i++)
        if (!is_closed(table, &record->fields[i].op))
            return 0;
    for (Py_ssize_t i = 0; i < record->default_count; i++)
        if (!is_closed(table, &record->defaults[i].op))
            return 0;
    return 1;
}

/* Mark the records whose instances the collector need not know, inner ones first. Those that can
 * contain themselves are left to it, and so are classes whose attributes can be set. */
static void
mark_untracked(Table *table)
{
    for (Py_ssize_t round = 0, changed = 1; changed && round < table->record_count; round++) {
        changed = 0;
        for (Py_ssize_t i = 0; i < table->record_count; i++) {
            Record *record = &table->records[i];
            if (record->untracked || record->cls == NULL || record->recursive ||
                record->cls->tp_setattro == PyObject_GenericSetAttr ||
                record->cls->tp_dictoffset != 0 || !only_closed(table, record))
                continue;
            record->untracked = changed = 1;
        }
    }
}

/* --- the whole --------------------------------------------------------------------------------- */

static int
build_table(Build *build, PyObject *plan, PyObject *limits)
{
    Table *table = build->table;
    if (number(limits, "max_depth", &table->max_depth) < 0 ||
        number(limits, "max_zero_size_items", &table->max_zero_size_items) < 0 ||
        number(limits, "max_payload_bytes", &table->max_payload_bytes) < 0)
        return -1;
    PyObject *records = tuple_of(table, plan, "records", &table->record_count);
    if (records == NULL)
        return -1;
    table->records = allocate(table, (size_t)table->record_count, sizeof(Record));
    if (table->records == NULL)
        return -1;
    for (Py_ssize_t i = 0; i < table->record_count; i++)
        if (build_record(build, PyTuple_GET_ITEM(records, i), &table->records[i]) < 0)
            return -1;
    PyObject *root = attribute(table, plan, "root");
    if (root == NULL || build_op(build, root, &table->root) < 0)
        return -1;
    mark_untracked(table);
    return build->reading ? read_defaults(table) : 0;
}

/* Compile a plan. What the plan refers to is kept alive by the table.
 *
 * Raises Unsupported for a plan that must be left to the other executors. */
Table *
table_new(PyObject *plan, PyObject *limits, PyObject *convert, int reading)
{
    Table *table = PyMem_Calloc(1, sizeof(Table));
    if (table == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    table->owned = PyList_New(0);
    Build build = {table, convert, reading};
    if (table->owned == NULL || build_table(&build, plan, limits) < 0) {
        table_free(table);
        return NULL;
    }
    return table;
}

void
table_free(Table *table)
{
    if (table == NULL)
        return;
    for (Py_ssize_t i = 0; table->memo != NULL && i < MEMO_SIZE; i++)
        Py_XDECREF(table->memo[i].value);
    PyMem_Free(table->memo);
    for (Py_ssize_t i = 0; table->keys != NULL && i < KEY_CACHE_SIZE; i++)
        Py_XDECREF(table->keys[i]);
    PyMem_Free(table->keys);
    for (Py_ssize_t i = 0; i < table->block_count; i++)
        PyMem_Free(table->blocks[i]);
    PyMem_Free(table->blocks);
    Py_XDECREF(table->owned);
    PyMem_Free(table);
}
