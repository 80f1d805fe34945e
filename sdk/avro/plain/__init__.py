"""Events ↔ plain values: what `json.dumps` takes, guided by the same Avro schema as the bytes.

====================  ==========================================================================
Avro                  JSON
====================  ==========================================================================
record, map           object; a record's keys are the schema's field names
array                 array
enum                  the symbol
bytes, fixed          base64 (RFC 4648)
float, double         number; ``"NaN"``, ``"Infinity"``, ``"-Infinity"``
decimal, big-decimal  text, such as ``"59.80"``: a JSON number would be rounded by many readers
uuid                  text
timestamp-*           RFC 3339 in UTC, such as ``"2026-01-15T09:30:00.250000Z"``
local-timestamp-*     the same without the offset
date, time-*          RFC 3339 full-date and partial-time
duration              ``{"months": 1, "days": 2, "milliseconds": 3}``
union                 the branch's value; where two branches look alike in JSON, ``{"name": value}``
                      as in Avro's own JSON encoding
====================  ==========================================================================

Times are truncated to the unit of their schema, as in Avro's binary encoding. Which branch of a
union is written is decided as there, by the class of the value.
"""
