"""The codec's own promises: instances, caching, threads, visibility, cheap imports."""

from __future__ import annotations

import copy
import gc
import pickle
import subprocess
import sys
import threading
import weakref
from typing import Any

import attrs
import pytest
from attrs import evolve, field, frozen

from sdk import avro
from sdk.avro.codec import interpreter
from sdk.avro.codec.codecs import binding
from sdk.avro.codec.compiled import compile_decoder, compile_encoder
from sdk.avro.codec.lowering import encode_plan
from sdk.avro.codec.plan import PLAN_VERSION
from sdk.avro.codec.reading_from import decode_plan
from sdk.avro.limits import DEFAULT_LIMITS
from sdk.avro.resolution.resolver import resolve
from sdk.avro.schema import parse_schema
from sdk.errors import (
    ConfigurationError,
    DeserializationError,
    InvalidSchemaError,
    SchemaError,
    SerializationError,
)
from sdk.events import EventInfo, int32, to_tuple
from tests.unit.avro.events import event_class, record

pytestmark = pytest.mark.usefixtures("executor")

SCHEMA = '{"type": "record", "name": "shop.Sold", "fields": [{"name": "n", "type": "int"}]}'


def info(schema: str = SCHEMA, **types: type[Any]) -> EventInfo:
    """A contract."""
    return EventInfo(full_name="shop.Sold", version=1, schema=schema, fingerprint="", types=types)


@frozen(kw_only=True)
class Sold:
    """An event as codegen writes it."""

    n: int = field(validator=int32)


Sold.__event__ = info()  # type: ignore[attr-defined]


def test_decoded_instance_behaves_as_constructed() -> None:
    """Equality, hash, repr, copy, pickle, weak references, evolve and freezing all work."""
    decoded, made = avro.decode(Sold, b"\x0e"), Sold(n=7)
    assert decoded == made
    assert hash(decoded) == hash(made)
    assert repr(decoded) == repr(made)
    assert copy.copy(decoded) == copy.deepcopy(decoded) == made
    assert pickle.loads(pickle.dumps(decoded)) == made
    assert weakref.ref(decoded)() is decoded
    assert evolve(decoded, n=8) == Sold(n=8)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        decoded.n = 9  # type: ignore[misc]


def test_cached_hash_is_prepared() -> None:
    """A class that caches its hash finds the slot for it filled."""
    cls = event_class(record(("n", "int")), unsafe_hash=True, cache_hash=True)
    assert hash(avro.decode(cls, b"\x0e")) == hash(cls(n=7))


def test_foreign_hooks_are_called() -> None:
    """A class that does more than codegen's validators is built by calling it."""

    @frozen(kw_only=True)
    class Hooked:
        n: int
        double: int = field(init=False, repr=False)

    @frozen(kw_only=True)
    class Checked:
        n: int = field()

        @n.validator
        def _positive(self, attribute: Any, value: int) -> None:
            if value < 0:
                raise ValueError("negative stock")

    @frozen(kw_only=True)
    class Counted:
        n: int = field(converter=abs)
        seen = 0

        def __attrs_post_init__(self) -> None:
            type(self).seen += 1

    for cls in (Hooked, Checked, Counted):
        cls.__event__ = info()  # type: ignore[attr-defined]
    with pytest.raises(SchemaError, match="one attribute for each field"):
        avro.decode(Hooked, b"\x0e")
    assert avro.decode(Checked, b"\x0e").n == 7
    with pytest.raises(DeserializationError, match="negative stock") as caught:
        avro.decode(Checked, b"\x0d")
    assert caught.value.byte_offset == 0
    assert avro.decode(Counted, b"\x0d").n == 7
    assert Counted.seen == 1


def test_own_hooks_are_not_paid_for() -> None:
    """Converters and validators of sdk.events state what the plan guarantees: slots are filled."""
    schema = '{"type": "record", "name": "R", "fields": [{"name": "n", "type": "int"}]}'

    @frozen(kw_only=True)
    class Mine:
        n: int = field(validator=[int32, attrs.validators.optional(int32)])

    Mine.__event__ = info(schema)  # type: ignore[attr-defined]
    parsed = parse_schema(schema)
    plan = encode_plan(parsed, {"R": Mine})
    assert [each.build for each in plan.records] == ["slots"]

    @frozen(kw_only=True)
    class Theirs:
        n: int = field(validator=attrs.validators.instance_of(int))
        m: tuple[int, ...] = field(default=(), converter=to_tuple[int])

    parsed = parse_schema(record(("n", "int"), ("m", {"type": "array", "items": "int"})))
    plan = encode_plan(parsed, {"R": Theirs})
    assert [each.build for each in plan.records] == ["call"]


def test_class_without_slots_is_called() -> None:
    """A class whose attributes live in a dict is built by its constructor."""
    cls = event_class(record(("n", "int")), slots=False)
    assert avro.decode(cls, b"\x0e") == cls(n=7)


def test_names_of_attributes_may_differ_from_the_schema() -> None:
    """Attributes are matched by position; paths have the Avro names."""
    cls = event_class(record(("class", "int"), ("def", "string")))
    event = cls(class_=7, def_="x")
    assert avro.decode(cls, avro.encode(event)) == event
    with pytest.raises(SerializationError) as caught:
        avro.encode(cls(class_=7, def_=8))
    assert caught.value.path == "def"


def test_private_attributes_are_constructed() -> None:
    """A leading underscore, which attrs drops in the constructor, does no harm."""
    for options in ({}, {"slots": False}):
        cls = event_class(record(("_n", "int")), **options)
        assert avro.decode(cls, b"\x0e") == cls(n=7)


def test_codecs_are_made_once() -> None:
    """A class has one encoder, and one decoder for each writer's schema, however it is spelled."""
    cls = event_class(record(("n", "int")))
    assert avro.encoder_for(cls) is avro.encoder_for(cls)
    schema = record(("n", "int"))
    spaced = parse_schema({**schema, "doc": "another text"})
    assert avro.decoder_for(cls) is avro.decoder_for(cls, schema) is avro.decoder_for(cls, spaced)
    newer = record(("n", "int"), ("more", "string"))
    assert avro.decoder_for(cls, newer) is avro.decoder_for(cls, {**newer, "doc": "another text"})
    parsed = parse_schema(newer)
    assert avro.decoder_for(cls, parsed) is avro.decoder_for(cls, parsed)
    assert avro.decoder_for(cls, limits=avro.Limits(max_depth=3)) is not avro.decoder_for(cls)


def test_threads_share_one_codec() -> None:
    """Threads that ask at the same time get the same function."""
    cls = event_class(record(("n", "int")))
    barrier = threading.Barrier(8)
    found: list[Any] = []

    def ask() -> None:
        barrier.wait()
        found.append((avro.encoder_for(cls), avro.decoder_for(cls)))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1


def test_caches_are_bounded() -> None:
    """More classes than the cache holds do not pile up."""
    first = avro.encoder_for(event_class(record(("n", "int"))))
    gone = weakref.ref(first)
    del first
    for _ in range(1001):
        avro.encoder_for(event_class(record(("n", "int"))))
    gc.collect()
    assert gone() is None


def test_prefix_and_start_frame_the_body() -> None:
    """An encoder puts its prefix before the body, and a decoder begins where it is told to."""
    framed = avro.encoder_for(Sold)(Sold(n=7), b"\0\0\0\0\x01")
    assert framed == b"\0\0\0\0\x01\x0e"
    assert avro.decoder_for(Sold)(framed, 5) == Sold(n=7)


def test_empty_records_have_empty_bodies() -> None:
    """A record without fields is no bytes at all."""
    cls = event_class(record())
    assert avro.encode(cls()) == b""
    assert avro.decode(cls, b"") == cls()


def test_text_of_schemas_cannot_run() -> None:
    """Docs, defaults and symbols never reach the generated source."""
    evil = '"); import os; os.abort(); ("'
    schema = {
        "type": "record",
        "name": "R",
        "doc": evil,
        "fields": [{"name": "n", "type": "string", "default": evil, "doc": "'''\n" + evil}],
    }
    cls = event_class(schema)
    assert avro.decode(cls, b"", record()).n == evil
    assert avro.decode(cls, avro.encode(cls(n=evil))).n == evil


def test_attribute_that_is_no_name_is_refused() -> None:
    """A class whose attributes are no identifiers gets no generated code."""
    cls = event_class(record(("n", "int")))
    twisted = attrs.fields(cls).n.evolve(name="n; import os")
    cls.__attrs_attrs__ = (twisted,)  # type: ignore[attr-defined]
    with pytest.raises(SchemaError, match="is not a name"):
        avro.encoder_for(cls)


def test_object_that_is_no_event_is_refused() -> None:
    """An object without a contract, or one whose classes are missing, is reported as such."""
    with pytest.raises(SchemaError, match="is not an event class"):
        avro.encode("text")

    @frozen(kw_only=True)
    class Alone:
        n: object

    Alone.__event__ = info(str(record(("n", record(name="In")))).replace("'", '"'))  # type: ignore[attr-defined]
    with pytest.raises(SchemaError, match="there is no class for In"):
        avro.encode(Alone(n=1))


def test_writer_schema_may_be_text_json_or_parsed() -> None:
    """All three forms of the writer's schema are accepted, and others are rejected."""
    for schema in (SCHEMA, record(("n", "int"), name="shop.Sold"), parse_schema(SCHEMA)):
        assert avro.decode(Sold, b"\x0e", schema) == Sold(n=7)
    with pytest.raises(InvalidSchemaError):
        avro.decode(Sold, b"\x0e", "{")


def test_limits_must_be_positive() -> None:
    """A limit of nothing is a mistake."""
    with pytest.raises(ConfigurationError, match="max_depth"):
        avro.Limits(max_depth=0)


def test_deep_schemas_compile() -> None:
    """Nesting beyond what Python allows in one function goes into several."""
    schema: Any = "int"
    for level in range(40):
        match level % 4:
            case 0:
                schema = {"type": "array", "items": schema}
            case 1:
                schema = ["null", schema]
            case 2:
                schema = {"type": "map", "values": schema}
            case 3:
                schema = record(("f", schema), name=f"R{level}")
    cls = event_class(schema)
    types, value = cls.__event__.types, 7  # type: ignore[attr-defined]
    for level in range(40):
        value = {0: (value,), 1: value, 2: {"k": value}}.get(level % 4, value)
        if level % 4 == 3:
            value = types[f"R{level}"](f=value)
    assert avro.decode(cls, avro.encode(value)) == value
    reader = event_class(record(("g", "int", 1), name="R39"))
    assert avro.decode(reader, avro.encode(value), schema) == reader(g=1)


def test_deep_optional_records_compile() -> None:
    """A chain of a hundred optional records is no problem for Python's parser."""
    schema: Any = record(("n", "int"), name="R0")
    for level in range(1, 100):
        schema = record(("f", ["null", schema]), name=f"R{level}")
    cls = event_class(schema)
    types = cls.__event__.types  # type: ignore[attr-defined]
    value = types["R0"](n=1)
    for level in range(1, 100):
        value = types[f"R{level}"](f=value)
    assert avro.encode(value) == b"\x02" * 100
    assert avro.decode(cls, b"\x02" * 100) == value


def test_plan_is_data() -> None:
    """A plan holds no functions, compares by value and names its version."""
    cls = event_class(record(("n", "int"), ("next", ["null", "R"])))
    schema = parse_schema(cls.__event__.schema)  # type: ignore[attr-defined]
    plan = decode_plan(resolve(schema, schema), schema, cls.__event__.types)  # type: ignore[attr-defined]
    assert plan == decode_plan(resolve(schema, schema), schema, cls.__event__.types)  # type: ignore[attr-defined]
    assert plan.version == PLAN_VERSION
    assert "function" not in repr(plan)
    assert compile_decoder(plan, DEFAULT_LIMITS)(b"\x0e\x00").n == 7


def test_plan_of_another_version_is_refused() -> None:
    """An executor runs only the format that it was made for."""
    bound = binding(event_class(record(("f", "long"))))
    plan = evolve(encode_plan(bound.schema, bound.types), version=PLAN_VERSION + 1)
    for run in (
        lambda: compile_encoder(plan, DEFAULT_LIMITS),
        lambda: compile_decoder(plan, DEFAULT_LIMITS),
        lambda: interpreter.write(plan, 1),
        lambda: interpreter.read(plan, b"\0"),
    ):
        with pytest.raises(ValueError, match=f"plan of version {PLAN_VERSION + 1}"):
            run()


def test_a_schema_with_itself_is_not_resolved() -> None:
    """Writing, and reading what was written by the same schema, do without resolution."""
    script = (
        "import sys\n"
        "from tests.unit.avro.events import event_class, record\n"
        "from sdk import avro\n"
        "schema = record(('n', 'int'))\n"
        "cls = event_class(schema)\n"
        "assert avro.decoder_for(cls, schema)(avro.encode(cls(n=7))) == cls(n=7)\n"
        "assert 'sdk.avro.resolution.resolver' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_import_of_the_values_is_cheap() -> None:
    """Duration, errors and the package itself load neither fastavro nor the compiler."""
    script = (
        "import sys, sdk.avro; sdk.avro.Duration\n"
        "heavy = {'fastavro', 'sdk.avro.codec.codecs', 'confluent_kafka'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
        "from sdk.avro import encode, decode, compatibility, encoder_for\n"
        "assert 'fastavro' not in sys.modules\n"
        "assert set(sdk.avro.__all__) <= set(dir(sdk.avro))\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        avro.nothing  # noqa: B018
