/* Creates and reads dates and times without calling their classes.
 *
 * Each function covers the common case exactly and gives up on the rest (subclasses, other time
 * zones), which the conversion functions of the plan then handle in Python.
 */
#include "vm.h"
#ifndef Py_LIMITED_API
#include <datetime.h>
#endif

#define DAY_SECONDS 86400
#define SECOND_MICROS 1000000

/* The parts of the values of the three classes. */
enum { YEAR, MONTH, DAY, HOUR, MINUTE, SECOND, MICROSECOND, PARTS };

/* --- the classes -------------------------------------------------------------------------------- */

#ifdef Py_LIMITED_API

static PyObject *date_class, *time_class, *datetime_class, *utc;
static descrgetfunc part_get;
static PyObject *part_descriptors[3][PARTS + 1]; /* by class: of the parts, then of tzinfo */

enum { OF_DATE, OF_TIME, OF_DATETIME };

static int
descriptors_of(PyObject *cls, int kind, int first, int last)
{
    static const char *const names[] = {
        "year", "month", "day", "hour", "minute", "second", "microsecond", "tzinfo"};
    for (int i = first; i <= last; i++) {
        PyObject *found = PyObject_GetAttrString(cls, names[i]);
        if (found == NULL || !Py_IS_TYPE(found, &PyGetSetDescr_Type))
            return -1;
        part_descriptors[kind][i] = found;
    }
    return 0;
}

int
times_init(void)
{
    date_class = imported("datetime", "date");
    time_class = imported("datetime", "time");
    datetime_class = imported("datetime", "datetime");
    PyObject *zones = imported("datetime", "timezone");
    utc = zones ? PyObject_GetAttrString(zones, "utc") : NULL;
    Py_XDECREF(zones);
    part_get = (descrgetfunc)PyType_GetSlot(&PyGetSetDescr_Type, Py_tp_descr_get);
    if (date_class == NULL || time_class == NULL || datetime_class == NULL || utc == NULL ||
        descriptors_of(date_class, OF_DATE, YEAR, DAY) < 0 ||
        descriptors_of(time_class, OF_TIME, HOUR, PARTS) < 0 ||
        descriptors_of(datetime_class, OF_DATETIME, HOUR, PARTS) < 0)
        return -1;
    return descriptors_of(datetime_class, OF_DATETIME, YEAR, DAY);
}

static int
read_parts(PyObject *value, int kind, int first, int last, int *parts)
{
    for (int i = first; i <= last; i++) {
        PyObject *number = part_get(part_descriptors[kind][i], value, NULL);
        if (number == NULL)
            return -1;
        parts[i] = (int)PyLong_AsLong(number);
        Py_DECREF(number);
    }
    return 0;
}

/* Whether the time zone is the expected one. */
static int
is_in(PyObject *value, int kind, PyObject *zone)
{
    PyObject *found = part_get(part_descriptors[kind][PARTS], value, NULL);
    Py_XDECREF(found); /* the value owns a reference */
    return found == zone;
}

static int
date_parts(PyObject *value, int *parts)
{
    return Py_IS_TYPE(value, (PyTypeObject *)date_class)
               ? read_parts(value, OF_DATE, YEAR, DAY, parts)
               : -1;
}

static int
time_parts(PyObject *value, int *parts)
{
    return Py_IS_TYPE(value, (PyTypeObject *)time_class) && is_in(value, OF_TIME, Py_None)
               ? read_parts(value, OF_TIME, HOUR, MICROSECOND, parts)
               : -1;
}

static int
datetime_parts(PyObject *value, int local, int *parts)
{
    return Py_IS_TYPE(value, (PyTypeObject *)datetime_class) &&
                   is_in(value, OF_DATETIME, local ? Py_None : utc)
               ? read_parts(value, OF_DATETIME, YEAR, MICROSECOND, parts)
               : -1;
}

/* Make an instance from its pickled state, which the constructors accept. */
static PyObject *
of_state(PyObject *cls, const int *parts, int first, int last, PyObject *zone)
{
    char state[10];
    int size = 0;
    for (int i = first; i <= last; i++) {
        if (i == MICROSECOND)
            state[size++] = (char)(parts[i] >> 16);
        if (i == YEAR || i == MICROSECOND)
            state[size++] = (char)(parts[i] >> 8);
        state[size++] = (char)parts[i];
    }
    PyObject *bytes = PyBytes_FromStringAndSize(state, size);
    if (bytes == NULL)
        return NULL;
    PyObject *made = PyObject_CallFunctionObjArgs(cls, bytes, zone, NULL);
    Py_DECREF(bytes);
    return made;
}

#define date_of(parts) of_state(date_class, parts, YEAR, DAY, NULL)
#define time_of(parts) of_state(time_class, parts, HOUR, MICROSECOND, NULL)
#define datetime_of(parts, local) \
    of_state(datetime_class, parts, YEAR, MICROSECOND, (local) ? NULL : utc)

#else

int
times_init(void)
{
    PyDateTime_IMPORT;
    return PyDateTimeAPI == NULL ? -1 : 0;
}

static int
date_parts(PyObject *value, int *parts)
{
    if (!PyDate_CheckExact(value))
        return -1;
    parts[YEAR] = PyDateTime_GET_YEAR(value);
    parts[MONTH] = PyDateTime_GET_MONTH(value);
    parts[DAY] = PyDateTime_GET_DAY(value);
    return 0;
}

static int
time_parts(PyObject *value, int *parts)
{
    if (!PyTime_CheckExact(value) || PyDateTime_TIME_GET_TZINFO(value) != Py_None)
        return -1;
    parts[HOUR] = PyDateTime_TIME_GET_HOUR(value);
    parts[MINUTE] = PyDateTime_TIME_GET_MINUTE(value);
    parts[SECOND] = PyDateTime_TIME_GET_SECOND(value);
    parts[MICROSECOND] = PyDateTime_TIME_GET_MICROSECOND(value);
    return 0;
}

static int
datetime_parts(PyObject *value, int local, int *parts)
{
    if (!PyDateTime_CheckExact(value) ||
        PyDateTime_DATE_GET_TZINFO(value) != (local ? Py_None : PyDateTime_TimeZone_UTC))
        return -1;
    parts[YEAR] = PyDateTime_GET_YEAR(value);
    parts[MONTH] = PyDateTime_GET_MONTH(value);
    parts[DAY] = PyDateTime_GET_DAY(value);
    parts[HOUR] = PyDateTime_DATE_GET_HOUR(value);
    parts[MINUTE] = PyDateTime_DATE_GET_MINUTE(value);
    parts[SECOND] = PyDateTime_DATE_GET_SECOND(value);
    parts[MICROSECOND] = PyDateTime_DATE_GET_MICROSECOND(value);
    return 0;
}

#define date_of(parts) PyDate_FromDate(parts[YEAR], parts[MONTH], parts[DAY])
#define time_of(parts) \
    PyTime_FromTime(parts[HOUR], parts[MINUTE], parts[SECOND], parts[MICROSECOND])
#define datetime_of(parts, local)                                                           \
    PyDateTimeAPI->DateTime_FromDateAndTime(                                                \
        parts[YEAR], parts[MONTH], parts[DAY], parts[HOUR], parts[MINUTE], parts[SECOND],   \
        parts[MICROSECOND], (local) ? Py_None : PyDateTime_TimeZone_UTC,                    \
        PyDateTimeAPI->DateTimeType)

#endif

/* --- the calendar ------------------------------------------------------------------------------- */

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

/* --- functions of the reader and the writer ----------------------------------------------------- */

PyObject *
date_new(int64_t days)
{
    int parts[PARTS];
    if (days < FIRST_DAY || days >= DAYS_END)
        return NULL;
    civil_from_days(days, &parts[YEAR], &parts[MONTH], &parts[DAY]);
    return date_of(parts);
}

/* Split the time of day. */
static void
clock_from_seconds(int seconds, int micros, int *parts)
{
    parts[HOUR] = seconds / 3600;
    parts[MINUTE] = seconds / 60 % 60;
    parts[SECOND] = seconds % 60;
    parts[MICROSECOND] = micros;
}

PyObject *
time_new(int64_t units, int64_t unit)
{
    int parts[PARTS];
    if (units < 0 || units >= (int64_t)DAY_SECONDS * SECOND_MICROS / unit)
        return NULL;
    int64_t micros = units * unit;
    clock_from_seconds((int)(micros / SECOND_MICROS), (int)(micros % SECOND_MICROS), parts);
    return time_of(parts);
}

PyObject *
datetime_new(int64_t units, int64_t unit, int local)
{
    int parts[PARTS];
    int64_t fraction, second;
    int64_t seconds = floor_divide(units, SECOND_MICROS / unit, &fraction);
    int64_t days = floor_divide(seconds, DAY_SECONDS, &second);
    if (days < FIRST_DAY || days >= DAYS_END)
        return NULL;
    civil_from_days(days, &parts[YEAR], &parts[MONTH], &parts[DAY]);
    clock_from_seconds((int)second, (int)(fraction * unit), parts);
    return datetime_of(parts, local);
}

int
date_days(PyObject *value, int64_t *days)
{
    int parts[PARTS];
    if (date_parts(value, parts) < 0)
        return -1;
    *days = days_from_civil(parts[YEAR], parts[MONTH], parts[DAY]);
    return 0;
}

static int
seconds_of(const int *parts)
{
    return (parts[HOUR] * 60 + parts[MINUTE]) * 60 + parts[SECOND];
}

int
time_units(PyObject *value, int64_t unit, int64_t *units)
{
    int parts[PARTS];
    if (time_parts(value, parts) < 0)
        return -1;
    *units = ((int64_t)seconds_of(parts) * SECOND_MICROS + parts[MICROSECOND]) / unit;
    return 0;
}

int
datetime_units(PyObject *value, int64_t unit, int local, int64_t *units)
{
    int parts[PARTS];
    if (datetime_parts(value, local, parts) < 0)
        return -1;
    int64_t days = days_from_civil(parts[YEAR], parts[MONTH], parts[DAY]);
    *units = (days * DAY_SECONDS + seconds_of(parts)) * (SECOND_MICROS / unit) +
             parts[MICROSECOND] / unit;
    return 0;
}
