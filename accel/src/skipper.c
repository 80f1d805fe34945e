/* Skips values without building them. */
#include "cursor.h"

static int
skip_blocks(Reader *reader, const Op *op)
{
    int64_t left, size;
    while ((left = next_block(reader, op->least, 1)) > 0)
        while (left-- > 0)
            if ((op->code == OP_MAP && take_block(reader, &size) == NULL) ||
                skip_value(reader, op->parts) < 0)
                return -1;
    return (int)left;
}

static int
skip_record(Reader *reader, const Op *op)
{
    const Record *record = &reader->table->records[op->size];
    if (enter(reader, record) < 0)
        return -1;
    int failed = 0;
    for (Py_ssize_t i = 0; !failed && i < record->field_count; i++)
        failed = skip_value(reader, &record->fields[i].op);
    leave(reader, record);
    return failed;
}

int
skip_value(Reader *reader, const Op *op)
{
    int64_t number;
    switch (op->code) {
    case OP_NULL:
        return 0;
    case OP_BOOLEAN:
        return take(reader, 1) ? 0 : -1;
    case OP_INT:
    case OP_ENUM:
        return read_int(reader, &number);
    case OP_LONG:
        return read_long(reader, &number);
    case OP_FLOAT:
        return take(reader, 4) ? 0 : -1;
    case OP_DOUBLE:
        return take(reader, 8) ? 0 : -1;
    case OP_BYTES:
    case OP_STRING:
        return take_block(reader, &number) ? 0 : -1;
    case OP_FIXED:
        return take(reader, op->size) ? 0 : -1;
    case OP_ARRAY:
    case OP_MAP:
        return skip_blocks(reader, op);
    case OP_UNION:
        if (read_int(reader, &number) < 0 || number < 0 || number >= op->size)
            return -1;
        return skip_value(reader, &op->parts[number]);
    case OP_RECORD:
        return skip_record(reader, op);
    default:
        return -1;
    }
}
