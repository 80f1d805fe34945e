"""Measures the speed of the codec and its peers in one run.

    python benchmarks/codec.py [--rounds N] [--shape TEXT]... [--write]

Each cell is processor time per event: the best of several rounds over distinct events, with all
columns taking turns inside a round, so that a busy machine slows all of them. The results of a
round are kept until it ends, as a consumer of batches keeps them; the collector is off in one table
and on in the other. ``--write`` puts the tables of the executor in use, which ``SDK_ACCEL``
selects, into ``benchmarks/README.md``.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime as dt
import gc
import io
import json
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

import cattrs  # noqa: E402
import fastavro  # noqa: E402
import msgspec  # noqa: E402
from cattrs.strategies import configure_union_passthrough  # noqa: E402
from confluent_kafka.schema_registry import (  # noqa: E402
    SchemaRegistryClient,
    record_subject_name_strategy,
)
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer  # noqa: E402
from confluent_kafka.serialization import MessageField, SerializationContext  # noqa: E402
from shapes import (  # noqa: E402
    NEW_ORDER,
    ORDER,
    SHAPES,
    Classes,
    Shape,
    event_classes,
    struct_classes,
)
from shared import write  # noqa: E402

from sdk import avro  # noqa: E402
from sdk.avro.codec.codecs import binding  # noqa: E402
from sdk.avro.codec.executors import executor  # noqa: E402
from sdk.avro.codec.lowering import encode_plan  # noqa: E402
from sdk.avro.limits import DEFAULT_LIMITS  # noqa: E402

PREFIX = b"\0\0\0\0\1"
COLUMNS = ("ours", "Confluent + cattrs", "fastavro + cattrs", "dataclasses-avroschema", "msgspec")
Work = tuple[Callable[[Any], Any], list[Any]]


@dataclasses.dataclass
class Row:
    """One shape: for each column the functions and their inputs."""

    shape: Shape
    size: int
    write: dict[str, Work]
    read: dict[str, Work]


def converter(classes: Classes) -> cattrs.Converter:
    """A cattrs converter that leaves values alone that fastavro converts."""
    made = cattrs.Converter(prefer_attrib_converters=False)
    hints = [h for each in classes.types.values() for h in _hints(each)]
    for hint in (UUID, Decimal, dt.date, dt.time, dt.datetime):
        made.register_structure_hook(hint, lambda value, _: value)
        made.register_unstructure_hook(hint, lambda value: value)
    for hint in hints:
        scalars = getattr(hint, "__args__", ())
        if scalars and all(each in (str, int, float, bool, type(None)) for each in scalars):
            configure_union_passthrough(hint, made)
    return made


def _hints(cls: Any) -> list[Any]:
    return list(getattr(cls, "__annotations__", {}).values())


def make_row(shape: Shape) -> Row:
    """Prepare all columns of a shape, and check that they agree."""
    writer_schema = shape.older or shape.schema
    values = shape.values()
    classes = event_classes(shape.schema)
    writers = event_classes(writer_schema) if shape.older else classes
    written = [writers.build(value) for value in values]
    encode, decode = avro.encoder_for(writers.root), avro.decoder_for(classes.root, writer_schema)
    framed = [encode(event, PREFIX) for event in written]
    row = Row(shape, len(framed[0]) - len(PREFIX), {}, {})
    row.write["ours"] = (lambda event: encode(event, PREFIX), written)
    row.read["ours"] = (lambda data: decode(data, 5), framed)
    _add_confluent(row, classes, writers, written)
    _add_fastavro(row, classes, writers, written)
    if shape.name == "OrderCreated":
        _add_dataclasses(row, values)
    if shape.older is None:
        _add_msgspec(row, values)
    _check(row)
    return row


def _check(row: Row) -> None:
    function, data = row.read["ours"]
    expected = [function(each) for each in data]
    for column in ("Confluent + cattrs", "fastavro + cattrs"):
        function, data = row.read[column]
        assert [function(each) for each in data] == expected, (row.shape.name, column)
        function, events = row.write[column]
        ours, _ = row.write["ours"]
        assert all(function(e)[-row.size :] == ours(e)[-row.size :] for e in events), column


def _add_confluent(row: Row, classes: Classes, writers: Classes, events: list[Any]) -> None:
    client = SchemaRegistryClient.new_client({"url": "mock://benchmark"})
    conf = {"subject.name.strategy": record_subject_name_strategy}
    out, into = converter(writers), converter(classes)
    text, reader = json.dumps(row.shape.older or row.shape.schema), json.dumps(row.shape.schema)
    serialize = AvroSerializer(client, text, lambda event, _: out.unstructure(event), conf)
    root = classes.root
    deserialize = AvroDeserializer(
        client, reader, lambda value, _: into.structure(value, root), conf=conf
    )
    context = SerializationContext("topic", MessageField.VALUE)
    framed = [serialize(event, context) for event in events]
    row.write["Confluent + cattrs"] = (lambda event: serialize(event, context), events)
    row.read["Confluent + cattrs"] = (lambda data: deserialize(data, context), framed)


def _add_fastavro(row: Row, classes: Classes, writers: Classes, events: list[Any]) -> None:
    out, into = converter(writers), converter(classes)
    writer = fastavro.parse_schema(json.loads(json.dumps(row.shape.older or row.shape.schema)))
    reader = fastavro.parse_schema(json.loads(json.dumps(row.shape.schema)))
    asked = reader if row.shape.older else None
    root = classes.root

    def write(event: Any) -> bytes:
        stream = io.BytesIO()
        stream.write(PREFIX)
        fastavro.schemaless_writer(stream, writer, out.unstructure(event))
        return stream.getvalue()

    def read(data: bytes) -> Any:
        stream = io.BytesIO(data)
        stream.seek(5)
        return into.structure(fastavro.schemaless_reader(stream, writer, asked), root)

    row.write["fastavro + cattrs"] = (write, events)
    row.read["fastavro + cattrs"] = (read, [write(event) for event in events])


def _add_dataclasses(row: Row, values: list[dict[str, Any]]) -> None:
    from dataclasses_orders import OrderCreated, order

    models = [order(value) for value in values]
    row.write["dataclasses-avroschema"] = (lambda model: model.serialize(), models)
    bodies = [model.serialize() for model in models]
    row.read["dataclasses-avroschema"] = (OrderCreated.deserialize, bodies)


def _add_msgspec(row: Row, values: list[dict[str, Any]]) -> None:
    structs = struct_classes(row.shape.schema)
    events = [structs.build(value) for value in values]
    encoder, decoder = msgspec.msgpack.Encoder(), msgspec.msgpack.Decoder(structs.root)
    row.write["msgspec"] = (encoder.encode, events)
    row.read["msgspec"] = (decoder.decode, [encoder.encode(event) for event in events])


# --- measuring ----------------------------------------------------------------------------------


def measure(work: dict[str, Work], rounds: int, collector: bool) -> dict[str, float]:
    """Return the best microseconds per event of each column."""
    best = dict.fromkeys(work, float("inf"))
    repeats = {column: _repeats(*each) for column, each in work.items()}
    for _ in range(rounds):
        for column, (function, items) in work.items():
            gc.collect()
            (gc.enable if collector else gc.disable)()
            started = time.process_time()
            for _ in range(repeats[column]):
                kept = [function(item) for item in items]
            spent = time.process_time() - started
            gc.enable()
            del kept
            best[column] = min(best[column], spent / repeats[column] / len(items) * 1e6)
    return best


def _repeats(function: Callable[[Any], Any], items: list[Any]) -> int:
    """Return how many passes over the items take about 30 ms."""
    started = time.process_time()
    for item in items:
        function(item)
    return max(1, int(0.03 / max(time.process_time() - started, 1e-6)))


def table(rows: Sequence[Row], rounds: int, collector: bool) -> list[str]:
    """Measure the rows and return them as a Markdown table."""
    heads = ["shape", "bytes", "", *COLUMNS, "÷ Confluent", "÷ fastavro"]
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    for row in rows:
        for what, work in (("write", row.write), ("read", row.read)):
            if what == "write" and row.shape.older:
                continue
            found = measure(work, rounds, collector)
            cells = [f"{found[column]:.2f}" if column in found else "" for column in COLUMNS]
            ratios = [found[column] / found["ours"] for column in COLUMNS[1:3]]
            name = row.shape.name if what == "write" or row.shape.older else ""
            cells = [name, f"{row.size:,}", what, *cells, *(f"**{r:.1f}**" for r in ratios)]
            lines.append(f"| {' | '.join(cells)} |")
            print(lines[-1], flush=True)
    return lines


def making_times(rounds: int) -> list[str]:
    """Measure how long it takes to make the first codecs of a class."""
    lines = [
        "| class | parsing its schema | encoder | decoder | decoder of another version "
        "| an encoder again |",
        "|---|---|---|---|---|---|",
    ]
    for shape in SHAPES:
        if shape.name not in ("small flat", "OrderCreated", "wide, 300 fields"):
            continue
        best = _making(shape.schema, max(rounds, 30))
        lines.append(f"| {shape.name} | {' | '.join(f'{each:.0f}' for each in best)} |")
        print(lines[-1], flush=True)
    return lines


def _making(schema: dict[str, Any], count: int) -> list[float]:
    """Return the least microseconds of processor time that each step takes for a new class."""
    more = {"name": "added", "type": "string"}
    newer = avro.parse_schema({**schema, "fields": [*schema["fields"], more]})

    def again(cls: Any) -> Any:
        bound = binding(cls)
        return executor().compile_encoder(encode_plan(bound.schema, bound.types), DEFAULT_LIMITS)

    steps: tuple[Callable[[Any], Any], ...] = (
        binding,
        avro.encoder_for,
        avro.decoder_for,
        lambda cls: avro.decoder_for(cls, newer),
        lambda _: again(classes[0]),
    )
    classes = [event_classes(schema).root for _ in range(count)]
    best = []
    for step in steps:
        taken = []
        for cls in classes:
            started = time.process_time()
            step(cls)
            taken.append(time.process_time() - started)
        best.append(min(taken) * 1e6)
    return best


MAKING = """\
Microseconds of processor time, least of 30 classes that are new to the process. The encoder, from a
parsed schema and an imported class: what must be known of the class, the plan, and the executor's
own form of it. The decoder by the same schema shares the plan. The decoder of another version,
which has one more field, adds resolution. "Again" is the plan and the executor's form of it once
more for one class, all of which is in the processor's caches then."""

COLD = """
import json, sys, time
sys.path[:0] = {paths!r}
from shapes import NEW_ORDER, event_classes
classes = []
for number in range(50):
    text = json.dumps(NEW_ORDER)
    for name in ("OrderCreated", "Line", "Currency"):
        text = text.replace('"' + name + '"', '"' + name + str(number) + '"')
    classes.append(event_classes(json.loads(text)).root)
modules = set(sys.modules)
started = time.perf_counter()
from sdk import avro
for cls in classes:
    avro.encoder_for(cls)
    avro.decoder_for(cls)
print(time.perf_counter() - started)
"""


def cold_start() -> float:
    """Return the seconds that a fresh process takes to make the codecs of 50 events."""
    script = COLD.format(paths=[str(ROOT), str(ROOT / "benchmarks")])
    runs = [
        float(
            subprocess.run([sys.executable, "-c", script], check=True, capture_output=True).stdout
        )
        for _ in range(3)
    ]
    return statistics.median(runs)


def main() -> None:
    """Measure, print, and with ``--write`` keep the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--shape", action="append", help="only shapes whose name has this text")
    parser.add_argument("--write", action="store_true", help="put the tables into README.md")
    options = parser.parse_args()
    wanted = [s for s in SHAPES if not options.shape or any(t in s.name for t in options.shape)]
    rows = [make_row(shape) for shape in wanted]
    text: list[str] = [f"{platform.python_implementation()} {platform.python_version()}, "]
    text[0] += f"{platform.machine()}; "
    text[0] += f"µs of processor time per event, best of {options.rounds}."
    for collector in (False, True):
        title = f"Collector {'on' if collector else 'off'}"
        print(title)
        text += [
            "",
            f"### {title}, {executor().name} executor",
            "",
            *table(rows, options.rounds, collector),
        ]
    text += [
        "",
        f"### Making a codec, {executor().name} executor",
        "",
        MAKING,
        "",
        *making_times(options.rounds),
    ]
    seconds = cold_start()
    text += ["", f"Cold start: the codecs of 50 events in a fresh process take {seconds:.2f} s."]
    print(text[-1])
    if options.write:
        write(f"codec {executor().name}", "\n".join(text))


if __name__ == "__main__":
    assert ORDER is not NEW_ORDER
    main()
