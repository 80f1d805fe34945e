"""Reads Avro IDL: its named types as schema JSON, with the place of each."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any, Final, TypeVar

from attrs import define, field

from codegen.idl_tokens import IdlSyntaxError, Token, place, tokens

_SIMPLE: Final = frozenset(("boolean", "int", "long", "float", "double", "bytes", "string", "null"))
_LOGICAL: Final = {
    "date": ("int", "date"),
    "time_ms": ("int", "time-millis"),
    "timestamp_ms": ("long", "timestamp-millis"),
    "local_timestamp_ms": ("long", "local-timestamp-millis"),
    "uuid": ("string", "uuid"),
}
_WORDS: Final = {"true": True, "false": False, "null": None}
_CONTAINERS: Final = {"array": "items", "map": "values"}
_SPECIAL: Final = ("NaN", "Infinity", "-Infinity")
_RESERVED: Final = frozenset(
    ("type", "name", "doc", "fields", "symbols", "size", "items", "values", "default")
)
_MAX_DEPTH: Final = 200

T = TypeVar("T")


@define
class IdlFile:
    """The definitions in an IDL file."""

    source: str
    types: list[dict[str, Any]] = field(factory=list)
    main: Any = None
    namespace: str = ""
    offsets: dict[tuple[int, str | int | None], int] = field(factory=dict)

    def locate(self, pointer: str) -> tuple[int, int]:
        """Return line and column of a JSON pointer into ``{"types": …, "main": …}``."""
        value: Any = {"types": self.types, "main": self.main}
        offset = 0
        for step in pointer.split("/")[1:]:
            key: str | int = step.replace("~1", "/").replace("~0", "~")
            if isinstance(value, list):
                key = int(key) if str(key).isdecimal() else -1
            offset = self.offsets.get((id(value), key), offset)
            try:
                value = value[key]
            except (KeyError, IndexError, TypeError):
                break
            offset = self.offsets.get((id(value), None), offset)
        return place(self.source, offset)


def read_idl(source: str) -> IdlFile:
    """Read an ``.avdl`` file; its imports and messages are skipped."""
    return _Parser(IdlFile(source), list(tokens(source))).file()


@define
class _Parser:
    result: IdlFile
    queue: list[Token]
    position: int = 0
    depth: int = 0

    def file(self) -> IdlFile:
        doc, properties = self.token.doc, self._properties()
        if self._take("protocol"):
            self.result.namespace = self._protocol_namespace(properties)
            self._expect("{")
            while not self._take("}"):
                self._member()
            if self.token.kind != "end":
                raise self._unexpected("the end of the file")
            return self.result
        if (not properties and doc is None) or self.token.text in ("namespace", "schema"):
            if self._take("namespace"):
                self.result.namespace = self._name()
                self._expect(";")
            if self._take("schema"):
                self.result.main = self._full_type()
                self._expect(";")
        else:
            self._named(doc, properties)
        while self.token.kind != "end":
            self._member(messages=False)
        return self.result

    @property
    def token(self) -> Token:
        return self.queue[self.position]

    def _protocol_namespace(self, properties: dict[str, Any]) -> str:
        name = self._name()
        given = properties.get("namespace")
        if isinstance(given, str):
            return given
        return name.rpartition(".")[0]

    def _member(self, *, messages: bool = True) -> None:
        if self._take("import"):
            self._name()
            self._literal("text")
            self._expect(";")
            return
        doc, properties = self.token.doc, self._properties()
        if self.token.text in ("record", "error", "enum", "fixed") and self._ahead().kind == "name":
            self._named(doc, properties)
        elif messages:
            self._message()
        else:
            raise self._unexpected("a record, error, enum or fixed")

    def _named(self, doc: str | None, properties: dict[str, Any]) -> None:
        start = self.token
        kind = self._name()
        name = self._name()
        made: dict[str, Any] = {"type": kind, "name": name}
        self._mark(made, None, start)
        own = properties.pop("namespace", None)
        if isinstance(own, str):
            made["namespace"] = own
        elif "." not in name:
            made["namespace"] = self.result.namespace
        if doc is not None:
            made["doc"] = doc
        made.update(properties)
        if kind == "enum":
            self._enum(made)
        elif kind == "fixed":
            self._fixed(made)
        elif kind in ("record", "error"):
            self._record(made)
        else:
            raise IdlSyntaxError(f"expected record, error, enum or fixed, not {kind}", start.offset)
        self.result.types.append(made)

    def _enum(self, made: dict[str, Any]) -> None:
        self._expect("{")
        made["symbols"] = self._several(self._name, "}")
        if self._take("="):
            made["default"] = self._name()
            self._expect(";")

    def _fixed(self, made: dict[str, Any]) -> None:
        self._expect("(")
        made["size"] = self._json()
        self._expect(")")
        self._expect(";")

    def _record(self, made: dict[str, Any]) -> None:
        self._expect("{")
        fields: list[dict[str, Any]] = []
        made["fields"] = fields
        while not self._take("}"):
            doc = self.token.doc
            start = self.token
            kind = self._full_type(in_field=True)
            nullable = self._take("?")
            while True:
                fields.append(self._variable(doc, kind, nullable, start))
                if not self._take(","):
                    break
            self._expect(";")

    def _variable(self, doc: str | None, kind: Any, nullable: bool, start: Token) -> dict[str, Any]:
        doc = self.token.doc or doc
        properties = self._properties()
        named = self.token
        made: dict[str, Any] = {"name": self._name(), "type": kind}
        self._mark(made, None, named)
        self._mark(made, "type", start)
        if doc is not None:
            made["doc"] = doc
        if self._take("="):
            self._mark(made, "default", self.token)
            made["default"] = self._json()
        if nullable:
            first_null = made.get("default") is None
            made["type"] = ["null", kind] if first_null else [kind, "null"]
        made.update(properties)
        return made

    def _full_type(self, *, in_field: bool = False) -> Any:
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise IdlSyntaxError("types are nested too deeply", self.token.offset)
        properties = self._properties()
        start = self.token
        made = self._plain_type(properties)
        if not in_field and self._take("?"):
            made = ["null", made]
        if isinstance(made, dict | list):
            self._mark(made, None, start)
        self.depth -= 1
        return made

    def _plain_type(self, properties: dict[str, Any]) -> Any:
        start = self.token
        name = self._name()
        if name in _CONTAINERS and self._take("<"):
            made: dict[str, Any] = {"type": name, _CONTAINERS[name]: self._full_type()}
            self._expect(">")
            return {**made, **properties}
        if name == "union" and self._take("{"):
            return self._several(self._full_type, "}")
        if start.text.startswith("`"):
            return name
        if name == "decimal" and self._take("("):
            precision = self._json()
            scale = self._json() if self._take(",") else 0
            self._expect(")")
            made = {"type": "bytes", "logicalType": "decimal"}
            return {**made, "precision": precision, "scale": scale, **properties}
        if name in _LOGICAL:
            base, logical = _LOGICAL[name]
            return {"type": base, "logicalType": logical, **properties}
        return {"type": name, **properties} if properties and name in _SIMPLE else name

    def _message(self) -> None:
        """Skip a message: messages are calls, not data."""
        opened = 0
        while self.token.kind != "end":
            text = self.token.text
            if self.token.kind == "mark":
                opened += (text in "({[<") - (text in ")}]>")
                if opened < 0:
                    break
                if text == ";" and opened == 0:
                    self.position += 1
                    return
            self.position += 1
        raise self._unexpected("the end of a message, ';'")

    def _properties(self) -> dict[str, Any]:
        properties: dict[str, Any] = {}
        while self._take("@"):
            start = self.token
            name = self._name()
            if name in _RESERVED:
                raise IdlSyntaxError(f"@{name} would hide what the IDL itself says", start.offset)
            self._expect("(")
            properties[name] = self._json()
            self._expect(")")
        return properties

    def _json(self, depth: int = 0) -> Any:
        token = self.token
        if depth > _MAX_DEPTH:
            raise IdlSyntaxError("values are nested too deeply", token.offset)
        self.position += 1
        if token.kind == "text":
            return self._string(token)
        if token.kind == "number":
            return self._number(token)
        if token.kind == "name":
            if token.text in _WORDS:
                return _WORDS[token.text]
            if token.text in _SPECIAL:
                return token.text
        if token.text == "[":
            return self._several(partial(self._json, depth + 1), "]")
        if token.text == "{":
            return dict(self._several(partial(self._json_pair, depth + 1), "}"))
        self.position -= 1
        raise self._unexpected("a JSON value")

    def _json_pair(self, depth: int) -> tuple[str, Any]:
        key = self._string(self._literal("text"))
        self._expect(":")
        return key, self._json(depth)

    def _several(self, read: Callable[[], T], end: str) -> list[T]:
        """Read items separated by commas, up to a bracket."""
        found: list[T] = []
        while not self._take(end):
            found.append(read())
            if not self._take(",") and self.token.text != end:
                raise self._unexpected(f"',' or '{end}'")
        return found

    def _string(self, token: Token) -> str:
        body = token.text[1:-1]
        if token.text[0] == "'":
            body = body.replace("\\'", "'").replace('"', '\\"')
        try:
            value = json.loads(f'"{body}"', strict=False)
        except ValueError as error:
            raise IdlSyntaxError(f"{token.text} is not a string: {error}", token.offset) from error
        assert isinstance(value, str)
        return value

    def _number(self, token: Token) -> Any:
        if token.text in _SPECIAL:
            return token.text
        lower = token.text.lower()
        try:
            if "0x" in lower:
                return int(lower.rstrip("l"), 16)
            bare = lower.rstrip("lfd")
            if "." in bare or "e" in bare or lower[-1] in "fd":
                return float(bare)
            octal = len(bare.lstrip("-")) > 1 and bare.lstrip("-").startswith("0")
            return int(bare, 8) if octal else int(bare)
        except ValueError as error:
            raise IdlSyntaxError(f"{token.text} is not a number", token.offset) from error

    def _name(self) -> str:
        return self._literal("name").text.replace("`", "")

    def _literal(self, kind: str) -> Token:
        token = self.token
        if token.kind != kind:
            raise self._unexpected(f"a {kind}")
        self.position += 1
        return token

    def _ahead(self) -> Token:
        return self.queue[min(self.position + 1, len(self.queue) - 1)]

    def _take(self, text: str) -> bool:
        if self.token.text == text and self.token.kind in ("mark", "name"):
            self.position += 1
            return True
        return False

    def _expect(self, text: str) -> None:
        if not self._take(text):
            raise self._unexpected(f"'{text}'")

    def _unexpected(self, wanted: str) -> IdlSyntaxError:
        found = self.token.text if self.token.kind != "end" else "the end of the file"
        return IdlSyntaxError(f"expected {wanted}, not {found}", self.token.offset)

    def _mark(self, container: Any, key: str | int | None, token: Token) -> None:
        self.result.offsets[id(container), key] = token.offset
