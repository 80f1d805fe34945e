/* The items of an array while it is read. */
#ifndef SDK_ACCEL_ITEMS_H
#define SDK_ACCEL_ITEMS_H

#include "abi.h"

#define FEW 32

/* On the C stack while they are few, so that no list is created. */
typedef struct {
    PyObject *few[FEW];
    PyObject **items;
    Py_ssize_t count, room;
} Items;

static inline int
items_grow(Items *items)
{
    Py_ssize_t room = items->room * 4;
    PyObject **grown = PyMem_Realloc(items->items == items->few ? NULL : items->items,
                                     (size_t)room * sizeof(PyObject *));
    if (grown == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    if (items->items == items->few)
        memcpy(grown, items->few, (size_t)items->count * sizeof(PyObject *));
    items->items = grown;
    items->room = room;
    return 0;
}

/* Make a tuple of the items, which take their references along; NULL drops them. */
static inline PyObject *
items_end(Items *items, int failed)
{
    PyObject *tuple = failed ? NULL : PyTuple_New(items->count);
    for (Py_ssize_t i = 0; i < items->count; i++) {
        if (tuple == NULL)
            Py_DECREF(items->items[i]);
        else
            PyTuple_SET_ITEM(tuple, i, items->items[i]);
    }
    if (items->items != items->few)
        PyMem_Free(items->items);
    return tuple;
}

#endif
