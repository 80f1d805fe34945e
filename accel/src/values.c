/* Creates and reads decimals and UUIDs without calling their classes.
 *
 * Each function covers the common case exactly and gives up on the rest (subclasses, long
 * decimals), which the conversion functions of the plan then handle in Python.
 */
#include "vm.h"

PyObject *Unsupported, *decimal_class;

static PyObject *exact_multiply;
static PyTypeObject *uuid_class;
static Slot uuid_int, uuid_safety;
static allocfunc uuid_make;
static int uuid_is_tracked;
static PyObject *unknown_safety;

PyObject *
imported(const char *module, const char *name)
{
    PyObject *imported = PyImport_ImportModule(module);
    if (imported == NULL)
        return NULL;
    PyObject *found = PyObject_GetAttrString(imported, name);
    Py_DECREF(imported);
    return found;
}

static int
decimal_init(void)
{
    decimal_class = imported("decimal", "Decimal");
    PyObject *context_class = imported("decimal", "Context");
    PyObject *digits = imported("decimal", "MAX_PREC");
    PyObject *largest = imported("decimal", "MAX_EMAX");
    PyObject *smallest = imported("decimal", "MIN_EMIN");
    PyObject *context = NULL;
    if (decimal_class && context_class && digits && largest && smallest) {
        /* Arithmetic that never rounds; the thread's own context would, to 28 digits. */
        PyObject *arguments = PyTuple_New(0);
        PyObject *options = Py_BuildValue(
            "{sOsOsO}", "prec", digits, "Emax", largest, "Emin", smallest);
        if (arguments && options)
            context = PyObject_Call(context_class, arguments, options);
        Py_XDECREF(arguments);
        Py_XDECREF(options);
    }
    if (context)
        exact_multiply = PyObject_GetAttrString(context, "multiply");
    Py_XDECREF(context);
    Py_XDECREF(context_class);
    Py_XDECREF(digits);
    Py_XDECREF(largest);
    Py_XDECREF(smallest);
    return exact_multiply ? 0 : -1;
}

static int
uuid_init(void)
{
    uuid_class = (PyTypeObject *)imported("uuid", "UUID");
    PyObject *safety = imported("uuid", "SafeUUID");
    PyObject *int_name = PyUnicode_InternFromString("int");
    PyObject *safety_name = PyUnicode_InternFromString("is_safe");
    int failed = -1;
    if (uuid_class && safety && int_name && safety_name) {
        unknown_safety = PyObject_GetAttrString(safety, "unknown");
        uuid_make = (allocfunc)PyType_GetSlot(uuid_class, Py_tp_alloc);
        uuid_is_tracked = (PyType_GetFlags(uuid_class) & Py_TPFLAGS_HAVE_GC) != 0;
        failed = unknown_safety == NULL || slot_find(uuid_class, int_name, &uuid_int) < 0 ||
                 slot_find(uuid_class, safety_name, &uuid_safety) < 0;
    }
    Py_XDECREF(safety);
    Py_XDECREF(int_name);
    Py_XDECREF(safety_name);
    return failed ? -1 : 0;
}

int
values_init(void)
{
    return decimal_init() < 0 || uuid_init() < 0 ? -1 : 0;
}

/* --- decimals --------------------------------------------------------------------------------- */

static PyObject *
multiplied(int64_t unscaled, PyObject *quantum)
{
    PyObject *whole = PyLong_FromLongLong(unscaled);
    if (whole == NULL)
        return NULL;
#ifdef Py_LIMITED_API
    PyObject *made = PyObject_CallFunctionObjArgs(exact_multiply, whole, quantum, NULL);
#else
    PyObject *arguments[] = {whole, quantum};
    PyObject *made = PyObject_Vectorcall(exact_multiply, arguments, 2, NULL);
#endif
    Py_DECREF(whole);
    return made;
}

PyObject *
decimal_new(Table *table, const Op *op, int64_t unscaled)
{
#ifdef Py_GIL_DISABLED
    return multiplied(unscaled, op->cls);
#else
    if (table->memo == NULL) {
        table->memo = PyMem_Calloc(MEMO_SIZE, sizeof(Memo));
        if (table->memo == NULL)
            return PyErr_NoMemory();
    }
    uint64_t mixed = ((uint64_t)unscaled ^ ((uint64_t)op->scale << 40)) * 0x9E3779B97F4A7C15ull;
    Memo *memo = &table->memo[mixed >> 53];
    if (memo->value != NULL && memo->unscaled == unscaled && memo->scale == op->scale) {
        Py_INCREF(memo->value);
        return memo->value;
    }
    PyObject *made = multiplied(unscaled, op->cls);
    if (made == NULL)
        return NULL;
    PyObject *former = memo->value;
    memo->unscaled = unscaled;
    memo->scale = op->scale;
    Py_INCREF(made);
    memo->value = made;
    Py_XDECREF(former);
    return made;
#endif
}

/* Read the digits of a decimal's text as an unscaled value; -1 where there is an exponent, or too
 * many digits for this. */
static int
parse_unscaled(const char *text, Py_ssize_t size, int scale, int64_t *unscaled)
{
    int negative = size > 0 && text[0] == '-';
    Py_ssize_t position = negative;
    int64_t value = 0;
    int digits = 0, fraction = -1;
    for (; position < size; position++) {
        char c = text[position];
        if (c == '.' && fraction < 0) {
            fraction = 0;
            continue;
        }
        if (c < '0' || c > '9')
            return -1;
        if (fraction >= scale) { /* digits beyond the scale must be zero */
            if (c != '0')
                return -1;
            continue;
        }
        if (value > (INT64_MAX - 9) / 10)
            return -1;
        value = value * 10 + (c - '0');
        digits++;
        fraction += fraction >= 0;
    }
    if (digits == 0)
        return -1;
    for (int missing = scale - (fraction < 0 ? 0 : fraction); missing > 0; missing--) {
        if (value > INT64_MAX / 10)
            return -1;
        value *= 10;
    }
    *unscaled = negative ? -value : value;
    return 0;
}

int
decimal_unscaled(const Op *op, PyObject *value, int64_t *unscaled)
{
    if (!Py_IS_TYPE(value, (PyTypeObject *)decimal_class) || op->bound == 0)
        return -1;
    PyObject *text = PyObject_Str(value);
    if (text == NULL)
        return -1;
    Py_ssize_t size;
    const char *characters = PyUnicode_AsUTF8AndSize(text, &size);
    int failed = characters == NULL || parse_unscaled(characters, size, op->scale, unscaled) < 0;
    Py_DECREF(text);
    if (failed)
        return -1;
    return *unscaled < op->bound && *unscaled > -op->bound ? 0 : -1;
}

/* --- UUIDs ------------------------------------------------------------------------------------ */

/* Between 16 bytes, big-endian, and Python's int. */
static PyObject *
long_of_bytes(const uint8_t bytes[16])
{
#ifdef Py_LIMITED_API
    static const char digits[] = "0123456789abcdef";
    char text[33] = {0};
    for (int i = 0; i < 16; i++) {
        text[2 * i] = digits[bytes[i] >> 4];
        text[2 * i + 1] = digits[bytes[i] & 15];
    }
    return PyLong_FromString(text, NULL, 16);
#elif PY_VERSION_HEX >= 0x030D0000
    return PyLong_FromUnsignedNativeBytes(bytes, 16, Py_ASNATIVEBYTES_BIG_ENDIAN);
#else
    return _PyLong_FromByteArray(bytes, 16, 0, 0);
#endif
}

static int
bytes_of_long(PyObject *number, uint8_t bytes[16])
{
#ifdef Py_LIMITED_API
    PyObject *half = PyLong_FromLong(64);
    PyObject *shifted = half ? PyNumber_Rshift(number, half) : NULL;
    uint64_t high = shifted ? PyLong_AsUnsignedLongLong(shifted) : 0;
    uint64_t low = PyErr_Occurred() ? 0 : PyLong_AsUnsignedLongLongMask(number);
    Py_XDECREF(half);
    Py_XDECREF(shifted);
    for (int i = 7; i >= 0; i--, high >>= 8, low >>= 8) {
        bytes[i] = (uint8_t)high;
        bytes[8 + i] = (uint8_t)low;
    }
    return PyErr_Occurred() ? -1 : 0;
#elif PY_VERSION_HEX >= 0x030D0000
    Py_ssize_t needed = PyLong_AsNativeBytes(
        number, bytes, 16,
        Py_ASNATIVEBYTES_BIG_ENDIAN | Py_ASNATIVEBYTES_UNSIGNED_BUFFER |
            Py_ASNATIVEBYTES_REJECT_NEGATIVE);
    return needed >= 0 && needed <= 16 ? 0 : -1;
#else
    return _PyLong_AsByteArray((PyLongObject *)number, bytes, 16, 0, 0);
#endif
}

PyObject *
uuid_new(const uint8_t bytes[16])
{
    PyObject *number = long_of_bytes(bytes);
    PyObject *made = number ? uuid_make(uuid_class, 0) : NULL;
    if (made == NULL) {
        Py_XDECREF(number);
        return NULL;
    }
    Py_INCREF(unknown_safety);
    if (slot_store(&uuid_int, made, number) < 0 ||
        slot_store(&uuid_safety, made, unknown_safety) < 0) {
        Py_DECREF(made);
        return NULL;
    }
    /* Numbers and enum members do not lead back to it, and its attributes cannot be set. */
    if (uuid_is_tracked)
        PyObject_GC_UnTrack(made);
    return made;
}

int
uuid_bytes(PyObject *value, uint8_t bytes[16])
{
    if (!Py_IS_TYPE(value, uuid_class))
        return -1;
    PyObject *number = slot_load(&uuid_int, value);
    int failed = number == NULL || !PyLong_CheckExact(number) || bytes_of_long(number, bytes) < 0;
    Py_XDECREF(number);
    return failed ? -1 : 0;
}

static const int8_t hexadecimal[256] = {
    ['0'] = 1,  ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,  ['6'] = 7,  ['7'] = 8,
    ['8'] = 9,  ['9'] = 10, ['a'] = 11, ['b'] = 12, ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16,
    ['A'] = 11, ['B'] = 12, ['C'] = 13, ['D'] = 14, ['E'] = 15, ['F'] = 16,
};
static const uint8_t digit_places[16] = {
    0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34};

/* Read the usual form of 36 characters; other forms are the conversion function's. */
int
uuid_parse(const char *text, Py_ssize_t size, uint8_t bytes[16])
{
    if (size != 36 || text[8] != '-' || text[13] != '-' || text[18] != '-' || text[23] != '-')
        return -1;
    for (int i = 0; i < 16; i++) {
        int high = hexadecimal[(uint8_t)text[digit_places[i]]];
        int low = hexadecimal[(uint8_t)text[digit_places[i] + 1]];
        if (high == 0 || low == 0)
            return -1;
        bytes[i] = (uint8_t)((high - 1) << 4 | (low - 1));
    }
    return 0;
}

void
uuid_print(const uint8_t bytes[16], char text[36])
{
    static const char digits[] = "0123456789abcdef";
    text[8] = text[13] = text[18] = text[23] = '-';
    for (int i = 0; i < 16; i++) {
        text[digit_places[i]] = digits[bytes[i] >> 4];
        text[digit_places[i] + 1] = digits[bytes[i] & 15];
    }
}
