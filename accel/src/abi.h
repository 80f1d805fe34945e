/* The only part that knows which of Python's C APIs this is built with.
 *
 * With Py_LIMITED_API, one binary runs on every CPython from 3.11 on, those that do not exist yet
 * included; slots, dates and bytes are then reached through functions and descriptors. Without it,
 * a binary is for one minor version and reaches them directly.
 */
#ifndef SDK_ACCEL_ABI_H
#define SDK_ACCEL_ABI_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <string.h>

/* --- slots of instances ------------------------------------------------------------------------- */

typedef struct {
    PyObject *descriptor; /* borrowed: the caller of the look-up keeps the descriptor alive */
    Py_ssize_t offset;    /* in instances; unused with the limited API */
} Slot;

/* How descriptors of slots are read and written; set when the module is initialized. */
extern descrgetfunc member_get;
extern descrsetfunc member_set;

/* Fill an empty slot of an instance that is not shared yet. Takes the reference to the value. */
static inline int
slot_store(const Slot *slot, PyObject *instance, PyObject *value)
{
#ifdef Py_LIMITED_API
    int failed = member_set(slot->descriptor, instance, value);
    Py_DECREF(value);
    return failed;
#else
    *(PyObject **)((char *)instance + slot->offset) = value;
    return 0;
#endif
}

/* Return a new reference to the value of a slot, or NULL, without an exception, if it is empty.
 * On free-threaded builds another thread may be writing to it. */
static inline PyObject *
slot_load(const Slot *slot, PyObject *instance)
{
#if defined(Py_LIMITED_API) || defined(Py_GIL_DISABLED)
    PyObject *value = member_get(slot->descriptor, instance, NULL);
    if (value == NULL)
        PyErr_Clear();
    return value;
#else
    PyObject *value = *(PyObject **)((char *)instance + slot->offset);
    Py_XINCREF(value);
    return value;
#endif
}

/* --- macros of the full API --------------------------------------------------------------------- */

#ifdef Py_LIMITED_API
#define PyBytes_AS_STRING PyBytes_AsString
#define PyBytes_GET_SIZE PyBytes_Size
#define PyDict_GET_SIZE PyDict_Size
#define PyFloat_AS_DOUBLE PyFloat_AsDouble
#define PyList_GET_ITEM PyList_GetItem
#define PyList_GET_SIZE PyList_Size
#define PyTuple_GET_ITEM PyTuple_GetItem
#define PyTuple_GET_SIZE PyTuple_Size
#define PyTuple_SET_ITEM PyTuple_SetItem
#define PyObject_CallOneArg(function, argument) \
    PyObject_CallFunctionObjArgs((function), (argument), NULL)
#endif

#ifndef Py_BEGIN_CRITICAL_SECTION
#define Py_BEGIN_CRITICAL_SECTION(object) {
#define Py_END_CRITICAL_SECTION() }
#endif

/* Return a new reference to an item of a tuple or list, or NULL. */
static inline PyObject *
item_at(PyObject *sequence, Py_ssize_t index)
{
    PyObject *item;
#ifdef Py_GIL_DISABLED
    if (PyList_CheckExact(sequence))
        return PyList_GetItemRef(sequence, index);
#endif
    item = PyTuple_CheckExact(sequence) ? PyTuple_GET_ITEM(sequence, index)
                                        : PyList_GET_ITEM(sequence, index);
    Py_XINCREF(item);
    return item;
}

static inline Py_ssize_t
items_of(PyObject *sequence)
{
    return PyTuple_CheckExact(sequence) ? PyTuple_GET_SIZE(sequence) : PyList_GET_SIZE(sequence);
}

/* Read UTF-8. Most texts are ASCII, which needs no decoder. */
static inline PyObject *
text_new(const char *bytes, Py_ssize_t size)
{
#ifndef Py_LIMITED_API
    if (size > 1) { /* Python keeps the empty text and those of one character */
        uint64_t seen = 0, word;
        Py_ssize_t i = 0;
        for (; i + 8 <= size; i += 8) {
            memcpy(&word, bytes + i, 8);
            seen |= word;
        }
        for (; i < size; i++)
            seen |= (uint8_t)bytes[i];
        if ((seen & 0x8080808080808080u) == 0) {
            PyObject *text = PyUnicode_New(size, 127);
            if (text != NULL)
                memcpy(PyUnicode_1BYTE_DATA(text), bytes, (size_t)size);
            return text;
        }
    }
#endif
    return PyUnicode_DecodeUTF8(bytes, size, NULL);
}

/* --- bytes that grow ---------------------------------------------------------------------------- */

/* A buffer that becomes a bytes object: it is one already where that can be resized. */
#ifdef Py_LIMITED_API
typedef char *Buffer;
#define buffer_data(buffer) (buffer)
#define buffer_free PyMem_Free

static inline int
buffer_resize(Buffer *buffer, Py_ssize_t size)
{
    char *resized = PyMem_Realloc(*buffer, (size_t)size);
    if (resized == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    *buffer = resized;
    return 0;
}

static inline PyObject *
buffer_end(Buffer buffer, Py_ssize_t size)
{
    PyObject *bytes = PyBytes_FromStringAndSize(buffer, size);
    PyMem_Free(buffer);
    return bytes;
}
#else
typedef PyObject *Buffer;
#define buffer_data PyBytes_AS_STRING
#define buffer_free Py_XDECREF

static inline int
buffer_resize(Buffer *buffer, Py_ssize_t size)
{
    if (*buffer != NULL)
        return _PyBytes_Resize(buffer, size);
    *buffer = PyBytes_FromStringAndSize(NULL, size);
    return *buffer == NULL ? -1 : 0;
}

static inline PyObject *
buffer_end(Buffer buffer, Py_ssize_t size)
{
    return _PyBytes_Resize(&buffer, size) < 0 ? NULL : buffer;
}
#endif

#endif
