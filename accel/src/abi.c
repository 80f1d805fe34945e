/* Slots: what abi.h needs at run time. */
#include "abi.h"
#ifndef Py_LIMITED_API
#include <structmember.h>
#endif
#include "vm.h"

descrgetfunc member_get;
descrsetfunc member_set;

int
abi_init(void)
{
    member_get = (descrgetfunc)PyType_GetSlot(&PyMemberDescr_Type, Py_tp_descr_get);
    member_set = (descrsetfunc)PyType_GetSlot(&PyMemberDescr_Type, Py_tp_descr_set);
    return member_get != NULL && member_set != NULL ? 0 : -1;
}

/* Whether a descriptor is one of a slot that instances of a class have. */
static int
is_slot(PyTypeObject *cls, PyObject *descriptor, Py_ssize_t *offset)
{
    if (!Py_IS_TYPE(descriptor, &PyMemberDescr_Type))
        return 0;
#ifdef Py_LIMITED_API
    *offset = 0;
    PyObject *owner = PyObject_GetAttrString(descriptor, "__objclass__");
    int found = owner != NULL && PyObject_IsSubclass((PyObject *)cls, owner) == 1 &&
                PyType_GetFlags((PyTypeObject *)owner) & Py_TPFLAGS_HEAPTYPE;
    Py_XDECREF(owner);
    PyErr_Clear();
    return found;
#else
    struct PyMemberDef *member = ((PyMemberDescrObject *)descriptor)->d_member;
    *offset = member->offset;
    return member->type == T_OBJECT_EX && PyType_IsSubtype(cls, PyDescr_TYPE(descriptor)) &&
           member->offset > 0 &&
           member->offset + (Py_ssize_t)sizeof(PyObject *) <= cls->tp_basicsize;
#endif
}

/* Find a slot by its name. The caller owns the reference to the descriptor.
 *
 * Returns -1 with Unsupported where instances of the class have no such slot. */
int
slot_find(PyTypeObject *cls, PyObject *name, Slot *slot)
{
    slot->descriptor = PyObject_GetAttr((PyObject *)cls, name);
    if (slot->descriptor == NULL)
        return -1;
    if (is_slot(cls, slot->descriptor, &slot->offset))
        return 0;
    Py_CLEAR(slot->descriptor);
    PyErr_Format(Unsupported, "%U of %R is not a slot", name, (PyObject *)cls);
    return -1;
}
