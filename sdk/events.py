"""What a generated event class carries, and the catalog that finds classes by name and version.

Generated modules import this module and nothing else of the SDK: `EventInfo` and the catalog, the
converters `to_tuple`, `to_map` and `freeze`, and the validators `int32`, `int64`, `fixed_size` and
`decimal_digits`. Decoders bypass converters and validators of this module, and only those, because
what they check is what decoding itself guarantees.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import (
    MAX_EMAX,
    MIN_EMIN,
    Context,
    Decimal,
    DecimalException,
    Inexact,
    InvalidOperation,
)
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypeVar, runtime_checkable

from attrs import Attribute, field, frozen

from sdk.avro.duration import Duration as Duration
from sdk.errors import ConfigurationError, InvalidValueError
from sdk.lazy import lazy_names as lazy_names

_T = TypeVar("_T")


@frozen(kw_only=True)
class EventInfo:
    """The contract behind a generated class; generated code sets it as ``__event__``.

    Attributes:
        full_name: Avro full name, such as ``orders.OrderCreated``.
        version: Our version number, the ``N`` of ``v<N>.avsc``; never the registry's.
        schema: The schema's JSON text, as it stands in the schema file.
        fingerprint: CRC-64-AVRO of the Parsing Canonical Form, 16 hexadecimal digits
            in the byte order of single-object encoding (Avro 1.12 specification).
        domain: First folder below the schemas root, such as ``orders``.
        key_field: Name of the attribute whose value is the default message key.
        compatibility: Level that the subject is held to, such as ``BACKWARD_TRANSITIVE``.
        owner: Team that answers for the event.
        references: Contracts of the shared types that the schema names, in dependency order.
        types: Avro full name of every named type that ``schema`` itself defines → its class.
    """

    full_name: str
    version: int
    schema: str = field(repr=False)
    fingerprint: str
    domain: str = ""
    key_field: str | None = None
    compatibility: str = "BACKWARD_TRANSITIVE"
    owner: str | None = None
    references: tuple[EventInfo, ...] = field(default=(), repr=False)
    types: Mapping[str, type[Any]] = field(factory=dict, repr=False, eq=False)

    @property
    def name(self) -> str:
        """Short name: the full name without its namespace."""
        return self.full_name.rpartition(".")[2]


@runtime_checkable
class Event(Protocol):
    """An instance of any generated event class.

    Type checkers refuse everything else: numbers, dicts, records nested in an event, and the
    classes themselves.
    """

    __event__: ClassVar[EventInfo]


E = TypeVar("E", bound=Event)
"""An event class, in signatures that take the class and hand out its events."""


@frozen
class CatalogEntry:
    """Where the class of one event version lives; loaded only when asked for.

    Attributes:
        full_name: Avro full name.
        version: Our version number.
        module: Absolute module name.
        class_name: Name of the class inside the module.
    """

    full_name: str
    version: int
    module: str
    class_name: str

    def load(self) -> type[Any]:
        """Import the module and return the class."""
        loaded: type[Any] = getattr(importlib.import_module(self.module), self.class_name)
        return loaded


class Catalog:
    """Finds event classes by full name and version without importing the others.

    A generated contracts package carries one as ``CATALOG``.

    Args:
        entries: One for each event version.
    """

    def __init__(self, entries: Iterable[CatalogEntry]) -> None:
        self._entries: dict[str, dict[int, CatalogEntry]] = {}
        for entry in entries:
            self._entries.setdefault(entry.full_name, {})[entry.version] = entry

    def __iter__(self) -> Iterator[CatalogEntry]:
        for versions in self._entries.values():
            for version in sorted(versions):
                yield versions[version]

    def __len__(self) -> int:
        return sum(map(len, self._entries.values()))

    def full_name(self, name: str) -> str:
        """Return the full name that a short or full name stands for.

        Raises:
            ConfigurationError: No event, or more than one, has this name.
        """
        if name in self._entries:
            return name
        found = sorted(known for known in self._entries if known.rpartition(".")[2] == name)
        if len(found) == 1:
            return found[0]
        if found:
            raise ConfigurationError(
                f"event name {name!r} fits {' and '.join(found)}", remedy="use the full name"
            )
        near = get_close_matches(name, [*self._entries, *self._short_names()], n=1)
        raise ConfigurationError(
            f"no event is called {name!r}",
            remedy=f"did you mean {near[0]!r}?" if near else "generate its class first",
        )

    def find(self, name: str, version: int | None = None) -> type[Any]:
        """Return the class of an event, by short or full name; the newest version by default.

        Raises:
            ConfigurationError: The name is unknown or ambiguous, or there is no such version.
        """
        full_name = self.full_name(name)
        versions = self._entries[full_name]
        wanted = max(versions) if version is None else version
        if wanted not in versions:
            raise ConfigurationError(
                f"event {full_name} has no version {wanted}",
                remedy=f"known versions: {', '.join(map(str, sorted(versions)))}",
            )
        return versions[wanted].load()

    def versions(self, name: str) -> tuple[type[Any], ...]:
        """Return the classes of all versions of an event, oldest first.

        Raises:
            ConfigurationError: The name is unknown or ambiguous.
        """
        versions = self._entries[self.full_name(name)]
        return tuple(versions[version].load() for version in sorted(versions))

    def _short_names(self) -> list[str]:
        return [full_name.rpartition(".")[2] for full_name in self._entries]


def _as_tuple(value: Iterable[Any]) -> tuple[Any, ...]:
    if type(value) is tuple:
        return value
    if isinstance(value, str | bytes | bytearray | Mapping) or not isinstance(value, Iterable):
        raise InvalidValueError(
            f"expected an array, not {type(value).__name__}", remedy="pass a list or tuple"
        )
    return tuple(value)


def _as_map(value: Mapping[str, Any]) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise InvalidValueError(
            f"expected a map, not {type(value).__name__}", remedy="pass a dict with text keys"
        )
    return dict(value)


def _frozen(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return tuple([_frozen(item) for item in value])
    if isinstance(value, Mapping):
        return {key: _frozen(item) for key, item in value.items()}
    return value


if TYPE_CHECKING:

    class to_tuple(Generic[_T]):  # noqa: N801
        """Converter of an array of items that need no conversion; any iterable becomes a tuple."""

        def __new__(cls, value: Iterable[_T]) -> tuple[_T, ...]: ...  # type: ignore[misc]  # noqa: D102

    class to_map(Generic[_T]):  # noqa: N801
        """Converter of a map whose values need no conversion; it is copied."""

        def __new__(cls, value: Mapping[str, _T]) -> Mapping[str, _T]: ...  # type: ignore[misc]  # noqa: D102

    class freeze(Generic[_T]):  # noqa: N801
        """Converter of arrays and maps at any depth, and beside other branches of a union.

        Its parameter is the type that the constructor accepts.
        """

        def __new__(cls, value: _T) -> Any: ...  # noqa: D102

else:

    class _Converter:
        """Lets type checkers see what the constructor accepts; at run time a plain function."""

        def __init__(self, function):
            self._function = function

        def __getitem__(self, accepted):
            return self._function

    to_tuple = _Converter(_as_tuple)
    to_map = _Converter(_as_map)
    freeze = _Converter(_frozen)


def _refuse(instance: Any, attribute: Attribute[Any], message: str, remedy: str) -> None:
    cls = type(instance)
    info = getattr(cls, "__event__", None)
    raise InvalidValueError(
        message,
        remedy=remedy,
        event=info.full_name if info is not None else cls.__name__,
        path=attribute.name,
    )


def int32(instance: Any, attribute: Attribute[Any], value: Any) -> None:
    """Validator of Avro ``int``: 32 bits, signed."""
    if isinstance(value, int) and not -0x8000_0000 <= value <= 0x7FFF_FFFF:
        _refuse(instance, attribute, f"{value} does not fit an int", "use -2**31 to 2**31 - 1")


def int64(instance: Any, attribute: Attribute[Any], value: Any) -> None:
    """Validator of Avro ``long``: 64 bits, signed."""
    if isinstance(value, int) and not -0x8000_0000_0000_0000 <= value <= 0x7FFF_FFFF_FFFF_FFFF:
        _refuse(instance, attribute, f"{value} does not fit a long", "use -2**63 to 2**63 - 1")


def fixed_size(size: int) -> Callable[[Any, Attribute[Any], Any], None]:
    """Return a validator of Avro ``fixed``.

    Args:
        size: Bytes that a value must have.
    """

    def check(instance: Any, attribute: Attribute[Any], value: Any) -> None:
        if isinstance(value, bytes) and len(value) != size:
            _refuse(instance, attribute, f"{len(value)} bytes given", f"pass exactly {size}")

    return check


def decimal_digits(precision: int, scale: int) -> Callable[[Any, Attribute[Any], Any], None]:
    """Return a validator of the logical type ``decimal``, which never rounds.

    Args:
        precision: Digits that a value may have in all.
        scale: Digits after the point; more are refused unless they are zeros.
    """
    context = Context(
        prec=precision, Emin=MIN_EMIN, Emax=MAX_EMAX, traps=[Inexact, InvalidOperation]
    )
    quantum = Decimal((0, (1,), -scale))

    def check(instance: Any, attribute: Attribute[Any], value: Any) -> None:
        if not isinstance(value, Decimal):
            return
        try:
            if not context.quantize(value, quantum).is_nan():
                return
        except DecimalException:
            pass
        _refuse(
            instance,
            attribute,
            f"{value} does not fit decimal({precision}, {scale})",
            f"use at most {precision - scale} digits before and {scale} after the point",
        )

    return check
