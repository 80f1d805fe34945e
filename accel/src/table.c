/* Compiles a plan to the table that the readers and writers walk: memory, records, tracking. */
#include "vm.h"

/* --- memory that lives as long as the table ---------------------------------------------------- */

/* Return zeroed memory. */
void *
table_room(Table *table, size_t count, size_t size)
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
PyObject *
table_keep(Table *table, PyObject *object)
{
    if (object == NULL)
        return NULL;
    int failed = PyList_Append(table->owned, object);
    Py_DECREF(object);
    return failed < 0 ? NULL : object;
}

/* --- records ----------------------------------------------------------------------------------- */

static PyObject *
tuple_of(Table *table, PyObject *source, Name name, Py_ssize_t *size)
{
    PyObject *found = attribute_of(table, source, name);
    if (found == NULL)
        return NULL;
    if (!PyTuple_Check(found)) {
        PyErr_Format(Unsupported, "%U is not a tuple", names[name]);
        return NULL;
    }
    *size = PyTuple_GET_SIZE(found);
    return found;
}

static int
build_slot(Build *build, PyTypeObject *cls, PyObject *name, Slot *slot)
{
    if (cls == NULL)
        return unsupported("a slot of no class");
    if (slot_find(cls, name, slot) < 0)
        return -1;
    return table_keep(build->table, slot->descriptor) == NULL ? -1 : 0;
}

static int
build_field(Build *build, PyObject *source, Record *record, Field *field)
{
    if (!PyTuple_Check(source) || PyTuple_GET_SIZE(source) != 4)
        return unsupported("a field is not a row of name, operation, attribute and argument");
    PyObject *attribute = PyTuple_GET_ITEM(source, 2);
    if (build_op(build, PyTuple_GET_ITEM(source, 1), &field->op) < 0)
        return -1;
    if (attribute == Py_None || record->cls == NULL)
        return 0;
    return build_slot(build, record->cls, attribute, &field->slot);
}

static int
build_default(Build *build, PyObject *source, Record *record, Default *value)
{
    PyObject *op = PyObject_GetAttr(source, names[NAME_op]);
    PyObject *name = PyObject_GetAttr(source, names[NAME_attribute]);
    int failed = op == NULL || name == NULL || build_op(build, op, &value->op) < 0;
    if (!failed) {
        value->bytes = attribute_of(build->table, source, NAME_data);
        failed = value->bytes == NULL || !PyBytes_Check(value->bytes) ||
                 build_slot(build, record->cls, name, &value->slot) < 0;
    }
    if (!failed) {
        PyObject *fresh = PyObject_GetAttr(source, names[NAME_fresh]);
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
    if (!PyTuple_Check(source) || PyTuple_GET_SIZE(source) != 2)
        return unsupported("a preset is not a pair of name and value");
    preset->value = PyTuple_GET_ITEM(source, 1);
    Py_INCREF(preset->value);
    return table_keep(build->table, preset->value) == NULL
               ? -1
               : build_slot(build, record->cls, PyTuple_GET_ITEM(source, 0), &preset->slot);
}

/* Take the class of a record whose instances are created by filling slots. */
static int
build_class(Build *build, PyObject *source, Record *record)
{
    PyObject *how = attribute_of(build->table, source, NAME_build);
    PyObject *cls = attribute_of(build->table, source, NAME_cls);
    if (how == NULL || cls == NULL)
        return -1;
    if (PyUnicode_CompareWithASCIIString(how, "skip") == 0)
        return 0;
    if (PyUnicode_CompareWithASCIIString(how, "slots") != 0)
        return unsupported("a class whose constructor must be called");
    Py_ssize_t item_size;
    if (!PyType_Check(cls) || number_of(cls, NAME___itemsize__, &item_size) < 0 || item_size != 0 ||
        !(PyType_GetFlags((PyTypeObject *)cls) & Py_TPFLAGS_HEAPTYPE))
        return PyErr_Occurred() ? -1 : unsupported("a class whose instances are not of slots");
    record->cls = (PyTypeObject *)cls;
    record->make = (allocfunc)PyType_GetSlot(record->cls, Py_tp_alloc);
    return 0;
}

static int
build_fields(Build *build, PyObject *source, Record *record)
{
    Table *table = build->table;
    Py_ssize_t recursive;
    PyObject *fields = tuple_of(table, source, NAME_fields, &record->field_count);
    PyObject *defaults = tuple_of(table, source, NAME_defaults, &record->default_count);
    PyObject *presets = tuple_of(table, source, NAME_presets, &record->preset_count);
    if (fields == NULL || defaults == NULL || presets == NULL ||
        number_of(source, NAME_recursive, &recursive) < 0 || build_class(build, source, record) < 0)
        return -1;
    record->recursive = recursive != 0;
    record->fields = table_room(table, (size_t)record->field_count, sizeof(Field));
    record->defaults = table_room(table, (size_t)record->default_count, sizeof(Default));
    record->presets = table_room(table, (size_t)record->preset_count, sizeof(Preset));
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

/* --- instances that the collector ignores ------------------------------------------------------ */

/* Whether values of an operation can never refer back to their holder: they are atoms, or
 * immutable values that contain only atoms. */
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

/* Whether nothing can be added to instances of a class or changed in them. */
static int
is_frozen(PyTypeObject *cls)
{
    Py_ssize_t dict;
    return PyType_GetSlot(cls, Py_tp_setattro) != (void *)PyObject_GenericSetAttr &&
           number_of((PyObject *)cls, NAME___dictoffset__, &dict) == 0 && dict == 0;
}

/* Mark the records whose instances the collector need not track, inner ones first. Recursive
 * records are tracked, and so are classes whose attributes can be set. */
static void
mark_untracked(Table *table)
{
    for (Py_ssize_t round = 0, changed = 1; changed && round < table->record_count; round++) {
        changed = 0;
        for (Py_ssize_t i = 0; i < table->record_count; i++) {
            Record *record = &table->records[i];
            if (record->untracked || record->cls == NULL || record->recursive ||
                !is_frozen(record->cls) || !only_closed(table, record))
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
    if (number_of(limits, NAME_max_depth, &table->max_depth) < 0 ||
        number_of(limits, NAME_max_zero_size_items, &table->max_zero_size_items) < 0 ||
        number_of(limits, NAME_max_payload_bytes, &table->max_payload_bytes) < 0)
        return -1;
    PyObject *records = tuple_of(table, plan, NAME_records, &table->record_count);
    if (records == NULL)
        return -1;
    table->records = table_room(table, (size_t)table->record_count, sizeof(Record));
    if (table->records == NULL)
        return -1;
    for (Py_ssize_t i = 0; i < table->record_count; i++)
        if (build_fields(build, PyTuple_GET_ITEM(records, i), &table->records[i]) < 0)
            return -1;
    PyObject *root = attribute_of(table, plan, NAME_root);
    if (root == NULL || build_op(build, root, &table->root) < 0)
        return -1;
    mark_untracked(table);
    return build->reading ? read_defaults(table) : 0;
}

/* Compile a plan. The table keeps the objects alive that the plan refers to.
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
    Build build = {.table = table, .convert = convert, .reading = reading};
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
        Py_XDECREF(table->keys[i].text);
    PyMem_Free(table->keys);
    for (Py_ssize_t i = 0; i < table->block_count; i++)
        PyMem_Free(table->blocks[i]);
    PyMem_Free(table->blocks);
    Py_XDECREF(table->owned);
    PyMem_Free(table);
}
