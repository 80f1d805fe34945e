"""Limits on the cost of one payload and one schema."""

from __future__ import annotations

from typing import Any, Final

from attrs import Attribute, field, frozen

from sdk.errors import ConfigurationError


def _positive(instance: Any, attribute: Attribute[int], value: Any) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ConfigurationError(
            f"must be a whole number above 0, not {value!r}", path=attribute.name
        )


@frozen(kw_only=True)
class Limits:
    """Bounds of payloads and schemas, so that hostile bytes cost little time and memory.

    Beyond them, memory is bounded by the payload itself: every count is checked against the bytes
    that are left before anything is built.

    Attributes:
        max_payload_bytes: Largest payload that is read at all.
        max_depth: How deeply recursive records may be nested, in
            reading and writing. Other nesting is bounded by the schema.
        max_zero_size_items: How many array items that take no bytes on the wire, such as nulls,
            one payload may have.
        max_decimal_bytes: Longest unscaled value of a decimal, if its precision does not need
            more. Converting a long number takes time that grows with the square of its length.
        max_schema_length: Longest text of one schema, in characters. The cost of resolving two
            schemas grows with the product of their sizes.
        max_schema_depth: How many types may be defined inside each other in one schema.
    """

    max_payload_bytes: int = field(default=256 * 1024 * 1024, validator=_positive)
    max_depth: int = field(default=200, validator=_positive)
    max_zero_size_items: int = field(default=65_536, validator=_positive)
    max_decimal_bytes: int = field(default=1024, validator=_positive)
    max_schema_length: int = field(default=1024 * 1024, validator=_positive)
    max_schema_depth: int = field(default=200, validator=_positive)


DEFAULT_LIMITS: Final = Limits()
