/* Values of the standard library's classes, made and read without calling those classes.
 *
 * Each function covers the common case exactly and gives up on the rest (subclasses, other time
 * zones, long decimals), which the conversion functions of the plan then handle in Python.
 */
#include "vm.h"
#include <datetime.h>
#include <structmember.h>

PyObject *Unsupported;

static PyObject *decimal_class, *exact_multiply;
static PyTypeObject *uuid_class;
static Py_ssize_t uuid_int, uuid_safety;
static PyObject *unknown_safety;

#define DAY_SECONDS 86400
#define SECOND_MICROS 1000000

/* Return the offset of a slot in instances of a class, or -1 with an exception. */
Py_ssize_t
slot_offset(PyTypeObject *cls, PyObject *name, PyObject **descriptor)
{
    PyObject *found = PyObject_GetAttr((PyObject *)cls, name);
    if (found == NULL)
        return -1;
    Py_ssize_t offset = -1;
    if (Py_IS_TYPE(found, &PyMemberDescr_Type)) {
        struct PyMemberDef *member = ((PyMemberDescrObject *)found)->d_member;
        if (member->type == T_OBJECT_EX && PyType_IsSubtype(cls, PyDescr_TYPE(found)) &&
            member->offset > 0 &&
            member->offset + (Py_ssize_t)sizeof(PyObject *) <= cls->tp_basicsize)
            offset = member->offset;
    }
    if (offset < 0)
        PyErr_Format(Unsupported, "%s.%U is not a slot", cls->tp_name, name);
    if (descriptor != NULL && offset >= 0)
        *descriptor = found;
    else
        Py_DECREF(found);
    return offset;
}

static PyObject *
attribute_of(const char *module, const char *name)
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
    decimal_class = attribute_of("decimal", "Decimal");
    PyObject *context_class = attribute_of("decimal", "Context");
    PyObject *digits = attribute_of("decimal", "MAX_PREC");
    PyObject *largest = attribute_of("decimal", "MAX_EMAX");
    PyObject *smallest = attribute_of("decimal", "MIN_EMIN");
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
    uuid_class = (PyTypeObject *)attribute_of("uuid", "UUID");
    PyObject *safety = attribute_of("uuid", "SafeUUID");
    PyObject *int_name = PyUnicode_InternFromString("int");
    PyObject *safety_name = PyUnicode_InternFromString("is_safe");
    int failed = -1;
    if (uuid_class && safety && int_name && safety_name) {
        unknown_safety = PyObject_GetAttrString(safety, "unknown");
        uuid_int = slot_offset(uuid_class, int_name, NULL);
        uuid_safety = uuid_int < 0 ? -1 : slot_offset(uuid_class, safety_name, NULL);
        failed = unknown_safety == NULL || uuid_int < 0 || uuid_safety < 0 ? -1 : 0;
    }
    Py_XDECREF(safety);
    Py_XDECREF(int_name);
    Py_XDECREF(safety_name);
    return failed;
}

int
values_init(void)
{
    PyDateTime_IMPORT;
    if (PyDateTimeAPI == NULL)
        return -1;
    return decimal_init() < 0 || uuid_init() < 0 ? -1 : 0;
}

/* --- decimals --------------------------------------------------------------------------------- */

static PyObject *
multiplied(int64_t unscaled, PyObject *quantum)
{
    PyObject *whole = PyLong_FromLongLong(unscaled);
    if (whole == NULL)
        return NULL;
    PyObject *arguments[] = {whole, quantum};
    PyObject *made = PyObject_Vectorcall(exact_multiply, arguments, 2, NULL);
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
        if (fraction >= scale) { /* what the scale does not hold must be zero */
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

PyObject *
uuid_new(const uint8_t bytes[16])
{
#if PY_VERSION_HEX >= 0x030D0000
    PyObject *number = PyLong_FromUnsignedNativeBytes(bytes, 16, Py_ASNATIVEBYTES_BIG_ENDIAN);
#else
    PyObject *number = _PyLong_FromByteArray(bytes, 16, 0, 0);
#endif
    if (number == NULL)
        return NULL;
    PyObject *made = uuid_class->tp_alloc(uuid_class, 0);
    if (made == NULL) {
        Py_DECREF(number);
        return NULL;
    }
    slot_store(made, uuid_int, number);
    Py_INCREF(unknown_safety);
    slot_store(made, uuid_safety, unknown_safety);
    /* Numbers and enum members do not lead back to it, and its attributes cannot be set. */
    if (PyObject_IS_GC(made))
        PyObject_GC_UnTrack(made);
    return made;
}

int
uuid_bytes(PyObject *value, uint8_t bytes[16])
{
    if (!Py_IS_TYPE(value, uuid_class))
        return -1;
    PyObject *number = *(PyObject **)((char *)value + uuid_int);
    if (number == NULL || !PyLong_CheckExact(number))
        return -1;
#if PY_VERSION_HEX >= 0x030D0000
    Py_ssize_t needed = PyLong_AsNativeBytes(
        number, bytes, 16,
        Py_ASNATIVEBYTES_BIG_ENDIAN | Py_ASNATIVEBYTES_UNSIGNED_BUFFER |
            Py_ASNATIVEBYTES_REJECT_NEGATIVE);
    return needed >= 0 && needed <= 16 ? 0 : -1;
#else
    return _PyLong_AsByteArray((PyLongObject *)number, bytes, 16, 0, 0);
#endif
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

/* --- dates and times -------------------------------------------------------------------------- */

/* Days from 1970-01-01 to the first days of the years 1 and 10000, in the proleptic calendar. */
#define FIRST_DAY (-719162)
#define DAYS_END 2932897

/* Return the floor of a quotient, and the remainder, which is not negative. */
static int64_t
floor_divide(int64_t number, int64_t by, int64_t *rest)
{
    int64_t quotient = number / by;
    *rest = number % by;
    if (*rest < 0) {
        *rest += by;
        quotient--;
    }
    return quotient;
}

/* Eras of 400 years that start on 1 March; see Hinnant, "chrono-Compatible Low-Level Date
 * Algorithms". */
static void
civil_from_days(int64_t days, int *year, int *month, int *day)
{
    days += 719468;
    int era = (int)((days >= 0 ? days : days - 146096) / 146097);
    unsigned of_era = (unsigned)(days - (int64_t)era * 146097);
    unsigned year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    unsigned of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    unsigned shifted = (5 * of_year + 2) / 153;
    *day = (int)(of_year - (153 * shifted + 2) / 5 + 1);
    *month = (int)(shifted < 10 ? shifted + 3 : shifted - 9);
    *year = (int)year_of_era + era * 400 + (*month <= 2);
}

static int64_t
days_from_civil(int year, int month, int day)
{
    year -= month <= 2;
    int era = (year >= 0 ? year : year - 399) / 400;
    unsigned year_of_era = (unsigned)(year - era * 400);
    unsigned of_year = (153u * (unsigned)(month > 2 ? month - 3 : month + 9) + 2) / 5 +
                       (unsigned)day - 1;
    unsigned of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year;
    return (int64_t)era * 146097 + of_era - 719468;
}

PyObject *
date_new(int64_t days)
{
    if (days < FIRST_DAY || days >= DAYS_END)
        return NULL;
    int year, month, day;
    civil_from_days(days, &year, &month, &day);
    return PyDate_FromDate(year, month, day);
}

PyObject *
time_new(int64_t units, int64_t unit)
{
    if (units < 0 || units >= (int64_t)DAY_SECONDS * SECOND_MICROS / unit)
        return NULL;
    int64_t micros = units * unit;
    int seconds = (int)(micros / SECOND_MICROS);
    return PyTime_FromTime(
        seconds / 3600, seconds / 60 % 60, seconds % 60, (int)(micros % SECOND_MICROS));
}

PyObject *
datetime_new(int64_t units, int64_t unit, int local)
{
    int64_t per_second = SECOND_MICROS / unit, fraction, second;
    int64_t seconds = floor_divide(units, per_second, &fraction);
    int64_t days = floor_divide(seconds, DAY_SECONDS, &second);
    if (days < FIRST_DAY || days >= DAYS_END)
        return NULL;
    int year, month, day;
    civil_from_days(days, &year, &month, &day);
    return PyDateTimeAPI->DateTime_FromDateAndTime(
        year, month, day, (int)(second / 3600), (int)(second / 60 % 60), (int)(second % 60),
        (int)(fraction * unit), local ? Py_None : PyDateTime_TimeZone_UTC,
        PyDateTimeAPI->DateTimeType);
}

int
date_days(PyObject *value, int64_t *days)
{
    if (!PyDate_CheckExact(value))
        return -1;
    *days = days_from_civil(
        PyDateTime_GET_YEAR(value), PyDateTime_GET_MONTH(value), PyDateTime_GET_DAY(value));
    return 0;
}

int
time_units(PyObject *value, int64_t unit, int64_t *units)
{
    if (!PyTime_CheckExact(value) || PyDateTime_TIME_GET_TZINFO(value) != Py_None)
        return -1;
    int64_t seconds = (PyDateTime_TIME_GET_HOUR(value) * 60 + PyDateTime_TIME_GET_MINUTE(value)) *
                          60 +
                      PyDateTime_TIME_GET_SECOND(value);
    int64_t micros = seconds * SECOND_MICROS + PyDateTime_TIME_GET_MICROSECOND(value);
    *units = micros / unit;
    return 0;
}

int
datetime_units(PyObject *value, int64_t unit, int local, int64_t *units)
{
    if (!PyDateTime_CheckExact(value) ||
        PyDateTime_DATE_GET_TZINFO(value) != (local ? Py_None : PyDateTime_TimeZone_UTC))
        return -1;
    int64_t days = days_from_civil(
        PyDateTime_GET_YEAR(value), PyDateTime_GET_MONTH(value), PyDateTime_GET_DAY(value));
    int64_t seconds = (PyDateTime_DATE_GET_HOUR(value) * 60 + PyDateTime_DATE_GET_MINUTE(value)) *
                          60 +
                      PyDateTime_DATE_GET_SECOND(value);
    int micros = PyDateTime_DATE_GET_MICROSECOND(value);
    *units = (days * DAY_SECONDS + seconds) * (SECOND_MICROS / unit) + micros / unit;
    return 0;
}
