"""Schema text is data: no name, doc, default or symbol runs, breaks a file, or changes another."""

from __future__ import annotations

import ast
import io
import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from codegen.builder import Contracts, build
from codegen.linker import link
from codegen.literals import bytes_literal, docstring, schema_literal, text_literal
from codegen.progress import Progress
from codegen.render import render_module
from codegen.sources import Root, SchemaFile
from tests.codegen.identity import differences
from tests.codegen.tree import executed

POISON = [
    '"""',
    '"""\nimport os\nos.system("true")\n"""',
    "'''",
    "\\",
    '\\"',
    '\\\\"""',
    '"',
    "{__import__('os')}",
    "%s",
    "\n\n@x\nclass Y: pass",
    "\r",
    "\x00",
    "\x0c",
    "\u2028",
    "\u202e",
    "\ufeff",
    "#",
    "\\N{DIGIT ONE}",
    "\\x41",
    "__event__",
]
TEXT = st.one_of(
    st.sampled_from(POISON),
    st.lists(st.sampled_from([*POISON, "a", " ", "\t", "é"]), max_size=6).map("".join),
    st.text(st.characters(exclude_categories=("Cs",)), max_size=20),
)
NAMES = st.one_of(
    st.sampled_from(
        [
            "class",
            "None",
            "self",
            "field",
            "frozen",
            "__init__",
            "__event__",
            "__class__",
            "_",
            "__",
        ]
    ),
    st.sampled_from(
        ["int", "str", "tuple", "dt", "Decimal", "Mapping", "R", "E", "l", "mro", "_x_"]
    ),
    st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,5}", fullmatch=True),
    st.from_regex(r"[A-Za-zßéüñ_][A-Za-z0-9ßéﬁ_]{0,4}", fullmatch=True),
)
ALLOWED = (ast.ImportFrom, ast.Import, ast.Assign, ast.ClassDef, ast.Expr)


@given(TEXT)
def test_literals_stand_for_their_text(text: str) -> None:
    """A literal evaluates to the text that it was made of, and to nothing more."""
    assert ast.literal_eval(text_literal(text)) == text
    assert ast.literal_eval(schema_literal(text)) == text
    data = text.encode()
    assert ast.literal_eval(bytes_literal(data)) == data


@given(TEXT)
def test_a_docstring_is_one_string(text: str) -> None:
    """Documentation of any content is one string expression, and leaves what follows alone."""
    tree = ast.parse(f"class X:\n{docstring(text, '    ')}\n\n    y = 1\n")
    (cls,) = tree.body
    assert isinstance(cls, ast.ClassDef)
    doc, rest = cls.body
    assert isinstance(doc, ast.Expr)
    assert isinstance(doc.value, ast.Constant)
    assert isinstance(rest, ast.Assign)


def generated(value: dict[str, Any], path: str = "shop/R/v1.avsc") -> tuple[str, Contracts]:
    """Return the module that a schema becomes."""
    file = SchemaFile(path, path, lambda pointer: (1, 1))
    text = json.dumps(value, ensure_ascii=False)
    root = Root("shop.R", 1, value, text, file, "", "shop", ("shop", "r"))
    quiet = Progress(io.StringIO())
    linked = link([root], quiet)
    assert not linked.findings
    contracts = build(linked.units, quiet)
    (module,) = contracts.modules
    return render_module(module), contracts


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(NAMES, min_size=1, max_size=6, unique=True),
    st.lists(NAMES, min_size=1, max_size=6, unique=True),
    st.lists(TEXT, min_size=6, max_size=6),
    TEXT,
)
def test_no_schema_text_runs_or_breaks_the_module(
    fields: list[str], symbols: list[str], texts: list[str], path: str
) -> None:
    """A module has the statements of its shape only, and its classes equal its schema."""
    symbols = [symbol for symbol in symbols if symbol.isascii()] or ["A"]
    value = {
        "type": "record",
        "name": "R",
        "namespace": "shop",
        "doc": texts[0],
        texts[1] or "x": texts[2],
        "fields": [
            {
                "name": "e",
                "type": {"type": "enum", "name": "E", "symbols": symbols, "doc": texts[3]},
                "default": symbols[-1],
            },
            *(
                {"name": name, "type": "string", "default": texts[4], "doc": texts[5]}
                for name in fields
                if name != "e"
            ),
            {
                "name": "map_",
                "type": {"type": "map", "values": "string"},
                "default": {texts[4]: "x"},
            },
        ],
    }
    if "map_" in fields or (texts[1] or "x") in ("type", "name", "namespace", "aliases", "fields"):
        return
    source, _ = generated(value, path)
    assert all(isinstance(node, ALLOWED) for node in ast.parse(source).body)
    module = executed(source)
    cls = module.R
    assert list(differences(cls)) == []
    assert [member.value for member in module.E] == symbols
    names = [each.name for each in cls.__attrs_attrs__]
    assert len(set(names)) == len(value["fields"])
    event = cls()
    assert event.e.value == symbols[-1]
    assert json.loads(cls.__event__.schema) == value
