"""Generated modules as data; rendering writes them without further decisions."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen


@frozen
class FieldModel:
    """A field of a record: one attribute of its class.

    Attributes:
        name: The attribute.
        avro_name: The field in the schema.
        annotation: Its type, as Python source.
        doc: Its documentation.
        value: How a value is given to ``attrs.field`` or ``=``, as Python source.
        options: Keyword arguments of ``attrs.field``, as Python source, in order.
    """

    name: str
    avro_name: str
    annotation: str
    doc: str | None
    value: str | None
    options: tuple[tuple[str, str], ...]


@frozen
class RecordModel:
    """A record: one attrs class."""

    name: str
    doc: str | None
    fields: tuple[FieldModel, ...]
    is_root: bool


@frozen
class EnumModel:
    """An enum: one `enum.Enum` class; ``members`` pairs the Python name with the symbol."""

    name: str
    doc: str | None
    default: str | None
    members: tuple[tuple[str, str], ...]
    is_root: bool


@frozen
class FixedModel:
    """A fixed that a union must distinguish from other bytes: one subclass of `bytes`."""

    name: str
    doc: str | None
    size: int
    is_root: bool


@frozen
class AliasModel:
    """A root that is not a named type, as a type alias."""

    name: str
    expression: str


TypeModel = RecordModel | EnumModel | FixedModel | AliasModel


@frozen
class InfoModel:
    """The `sdk.events.EventInfo` of a root.

    Attributes:
        target: What it is assigned to, as Python source.
        references: The infos of the types that it refers to, as Python source.
        types: Avro full name → class, for the types that the schema defines.
    """

    target: str
    full_name: str
    version: int
    domain: str
    key_field: str | None
    compatibility: str
    owner: str | None
    fingerprint: str
    references: tuple[str, ...]
    types: tuple[tuple[str, str], ...]
    schema: str


@frozen
class ModuleModel:
    """A generated module.

    Attributes:
        path: Its path below the output, the module's own name last.
        source: The schema file, as a path below the schemas root.
        schema_hash: SHA-256 of the schema's meaning and its pins.
        title: First line of its docstring.
        imports: Module (relative ones with their dots) → the names taken from it, in order.
        types: The types, each after those that it needs at definition.
        infos: The infos of its roots.
    """

    path: tuple[str, ...]
    source: str
    schema_hash: str
    title: str
    imports: Mapping[str, tuple[str, ...]]
    types: tuple[TypeModel, ...]
    infos: tuple[InfoModel, ...]


@frozen
class ForwardModel:
    """The module of a root that shares the module of another: it only imports what is there."""

    path: tuple[str, ...]
    source: str
    schema_hash: str
    title: str
    module: str
    names: tuple[str, ...]


@frozen
class PackageModel:
    """The ``__init__`` of an event or shared type: its newest version."""

    path: tuple[str, ...]
    full_name: str
    versions: tuple[int, ...]
    names: tuple[str, ...]


@frozen
class DomainModel:
    """The ``__init__`` of a package of events: the newest version of each, loaded on first use.

    Attributes:
        path: Package path below the output.
        homes: Exported name → module that defines it, relative to the package.
    """

    path: tuple[str, ...]
    homes: tuple[tuple[str, str], ...]


@frozen
class CatalogModel:
    """One entry of the catalog."""

    full_name: str
    version: int
    module: str
    class_name: str
