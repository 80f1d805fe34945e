"""Avro alone: no Kafka, no registry.

    from sdk import avro

    body = avro.encode(event)
    event = avro.decode(OrderCreated, body, writer_schema=text_of_the_writer)
    avro.compatibility(reader, writer)
    avro.from_json(OrderCreated, avro.to_json(event))

Names are resolved on first use: a generated contract that needs `Duration` loads nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sdk.lazy import lazy_names

if TYPE_CHECKING:
    from sdk.avro.codec.codecs import Decoder as Decoder
    from sdk.avro.codec.codecs import Encoder as Encoder
    from sdk.avro.codec.codecs import branch_written as branch_written
    from sdk.avro.codec.codecs import decode as decode
    from sdk.avro.codec.codecs import decoder_for as decoder_for
    from sdk.avro.codec.codecs import encode as encode
    from sdk.avro.codec.codecs import encoder_for as encoder_for
    from sdk.avro.duration import Duration as Duration
    from sdk.avro.limits import Limits as Limits
    from sdk.avro.plain.conversion import from_json as from_json
    from sdk.avro.plain.conversion import from_plain as from_plain
    from sdk.avro.plain.conversion import to_json as to_json
    from sdk.avro.plain.conversion import to_plain as to_plain
    from sdk.avro.resolution.evolution import compatibility as compatibility
    from sdk.avro.schema import parse_schema as parse_schema
    from sdk.avro.schema.canonical import meaning as meaning
    from sdk.avro.schema.canonical import same_meaning as same_meaning

_HOMES = {
    "Decoder": ".codec.codecs",
    "Duration": ".duration",
    "Encoder": ".codec.codecs",
    "Limits": ".limits",
    "branch_written": ".codec.codecs",
    "compatibility": ".resolution.evolution",
    "decode": ".codec.codecs",
    "decoder_for": ".codec.codecs",
    "encode": ".codec.codecs",
    "encoder_for": ".codec.codecs",
    "from_json": ".plain.conversion",
    "from_plain": ".plain.conversion",
    "meaning": ".schema.canonical",
    "parse_schema": ".schema",
    "same_meaning": ".schema.canonical",
    "to_json": ".plain.conversion",
    "to_plain": ".plain.conversion",
}

__all__ = sorted(_HOMES)

if not TYPE_CHECKING:
    __getattr__ = lazy_names(__name__, _HOMES)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
