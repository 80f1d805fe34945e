/* The module: compile_encoder, compile_decoder, and the callables that they return. */
#include "vm.h"

/* The state of an encoder or decoder; the callable itself is a method of it. */
typedef struct {
    PyObject_HEAD
    Table *table;
    PyObject *fallback;
} Codec;

/* --- where the table gives up ------------------------------------------------------------------- */

/* Whether the interpreter decides: nothing was raised, or an exception of a conversion. */
static int
gave_up(void)
{
    PyObject *raised = PyErr_Occurred();
    if (raised == NULL)
        return 1;
    if (!PyErr_GivenExceptionMatches(raised, PyExc_Exception) ||
        PyErr_GivenExceptionMatches(raised, PyExc_MemoryError))
        return 0;
    PyErr_Clear();
    return 1;
}

static PyObject *
decode(PyObject *self, PyObject *const *arguments, Py_ssize_t count)
{
    Codec *codec = (Codec *)self;
    Py_ssize_t start = 0;
    if (count < 1 || count > 2) {
        PyErr_SetString(PyExc_TypeError, "decode takes data and start");
        return NULL;
    }
    if (count == 2) {
        start = PyNumber_AsSsize_t(arguments[1], PyExc_OverflowError);
        if (start == -1 && PyErr_Occurred())
            return NULL;
    }
    if (PyBytes_CheckExact(arguments[0])) {
        PyObject *value = read_event(codec->table, (const uint8_t *)PyBytes_AS_STRING(arguments[0]),
                                     PyBytes_GET_SIZE(arguments[0]), start);
        if (value != NULL || !gave_up())
            return value;
    }
    return PyObject_CallFunction(codec->fallback, "On", arguments[0], start);
}

static PyObject *
encode(PyObject *self, PyObject *const *arguments, Py_ssize_t count)
{
    Codec *codec = (Codec *)self;
    Py_ssize_t size = 0;
    char *prefix = "";
    if (count < 1 || count > 2) {
        PyErr_SetString(PyExc_TypeError, "encode takes an event and a prefix");
        return NULL;
    }
    if (count == 2 && PyBytes_AsStringAndSize(arguments[1], &prefix, &size) < 0)
        return NULL;
    PyObject *bytes = write_event(codec->table, arguments[0], prefix, size);
    if (bytes != NULL || !gave_up())
        return bytes;
    return PyObject_CallFunction(codec->fallback, "Oy#", arguments[0], prefix, size);
}

/* --- the callables ------------------------------------------------------------------------------ */

static int
codec_traverse(PyObject *self, visitproc visit, void *arg)
{
    Codec *codec = (Codec *)self;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(codec->fallback);
    if (codec->table != NULL)
        Py_VISIT(codec->table->owned);
    return 0;
}

static int
codec_clear(PyObject *self)
{
    Codec *codec = (Codec *)self;
    Py_CLEAR(codec->fallback);
    Table *table = codec->table;
    codec->table = NULL;
    table_free(table);
    return 0;
}

static void
codec_free(PyObject *self)
{
    PyTypeObject *cls = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    codec_clear(self);
    PyObject_GC_Del(self);
    Py_DECREF(cls);
}

static PyType_Slot codec_slots[] = {
    {Py_tp_doc, "Holds what an encoder or decoder needs."},
    {Py_tp_traverse, codec_traverse},
    {Py_tp_clear, codec_clear},
    {Py_tp_dealloc, codec_free},
    {0, NULL},
};

static PyType_Spec codec_spec = {
    .name = "sdk_accel.Codec",
    .basicsize = sizeof(Codec),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION |
             Py_TPFLAGS_IMMUTABLETYPE,
    .slots = codec_slots,
};

static PyMethodDef reading = {
    "decode", (PyCFunction)(void (*)(void))decode, METH_FASTCALL,
    "decode($self, data, start=0, /)\n--\n\nReturn the event that starts there."};
static PyMethodDef writing = {
    "encode", (PyCFunction)(void (*)(void))encode, METH_FASTCALL,
    "encode($self, event, prefix=b'', /)\n--\n\nReturn the prefix and the event's bytes."};

static PyTypeObject *codec_class;
static PyObject *module_name;

static PyObject *
compile(PyObject *const *arguments, Py_ssize_t count, PyMethodDef *method)
{
    if (count != 4) {
        PyErr_SetString(PyExc_TypeError, "4 arguments are needed: plan, limits, convert, fallback");
        return NULL;
    }
    Table *table = table_new(arguments[0], arguments[1], arguments[2], method == &reading);
    if (table == NULL)
        return NULL;
    Codec *codec = PyObject_GC_New(Codec, codec_class);
    if (codec == NULL) {
        table_free(table);
        return NULL;
    }
    codec->table = table;
    codec->fallback = arguments[3];
    Py_INCREF(codec->fallback);
    PyObject_GC_Track((PyObject *)codec);
    PyObject *function = PyCFunction_NewEx(method, (PyObject *)codec, module_name);
    Py_DECREF(codec);
    return function;
}

static PyObject *
compile_encoder(PyObject *module, PyObject *const *arguments, Py_ssize_t count)
{
    return compile(arguments, count, &writing);
}

static PyObject *
compile_decoder(PyObject *module, PyObject *const *arguments, Py_ssize_t count)
{
    return compile(arguments, count, &reading);
}

PyDoc_STRVAR(encoder_doc, "compile_encoder(plan, limits, convert, fallback, /)\n--\n\n"
                          "Return the function encode(event, prefix=b'', /) of a plan.\n\n"
                          "convert(operation) gives the function that makes raw values;\n"
                          "fallback(event, prefix) answers where the table gives up.");
PyDoc_STRVAR(decoder_doc, "compile_decoder(plan, limits, convert, fallback, /)\n--\n\n"
                          "Return the function decode(data, start=0, /) of a plan.\n\n"
                          "convert(operation) gives the function that converts raw values;\n"
                          "fallback(data, start) answers where the table gives up.");

static PyMethodDef functions[] = {
    {"compile_encoder", (PyCFunction)(void (*)(void))compile_encoder, METH_FASTCALL, encoder_doc},
    {"compile_decoder", (PyCFunction)(void (*)(void))compile_decoder, METH_FASTCALL, decoder_doc},
    {NULL, NULL, 0, NULL},
};

/* Initialize the state that all codecs share. */
static int
prepare(void)
{
    Unsupported = PyErr_NewExceptionWithDoc(
        "sdk_accel.Unsupported", "The plan must be left to the other executors.", NULL, NULL);
    module_name = PyUnicode_InternFromString("sdk_accel");
    if (Unsupported == NULL || module_name == NULL || names_init() < 0 ||
        abi_init() < 0 || values_init() < 0 ||
        times_init() < 0)
        return -1;
    codec_class = (PyTypeObject *)PyType_FromSpec(&codec_spec);
    return codec_class == NULL ? -1 : 0;
}

static int
module_exec(PyObject *module)
{
    /* The shared state belongs to the main interpreter, whose number is 0. */
    if (PyInterpreterState_GetID(PyInterpreterState_Get()) != 0) {
        PyErr_SetString(PyExc_ImportError, "sdk_accel serves the main interpreter alone");
        return -1;
    }
    if (codec_class == NULL && prepare() < 0)
        return -1;
    return PyModule_AddObjectRef(module, "Unsupported", Unsupported) < 0
               ? -1
               : PyModule_AddIntConstant(module, "PLAN_VERSION", 3);
}

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, module_exec},
#if PY_VERSION_HEX >= 0x030C0000 && !defined(Py_LIMITED_API)
    {Py_mod_multiple_interpreters, Py_MOD_MULTIPLE_INTERPRETERS_NOT_SUPPORTED},
#endif
#ifdef Py_GIL_DISABLED
    {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#endif
    {0, NULL},
};

static PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "sdk_accel._vm",
    .m_doc = "Encodes and decodes Avro events as a plan says.",
    .m_methods = functions,
    .m_slots = module_slots,
};

PyMODINIT_FUNC
PyInit__vm(void)
{
    return PyModuleDef_Init(&definition);
}
