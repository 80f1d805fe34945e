"""Breaks long expressions into lines, as ``ruff format`` does."""

from __future__ import annotations

import ast

from codegen.literals import LINE_LENGTH


def wrapped(prefix: str, source: str, indent: str) -> str:
    """Return an expression behind a prefix, broken where its line would be too long."""
    if len(indent) + len(prefix) + len(source) < LINE_LENGTH:
        return prefix + source
    node = ast.parse(source, mode="eval").body
    inner = f"{indent}    "
    if isinstance(node, ast.Call):
        parts = [("", each) for each in node.args]
        parts += [(f"{each.arg}=", each.value) for each in node.keywords]
        start, end = f"{_text(source, node.func)}(", ")"
        flat = ", ".join(before + _text(source, each) for before, each in parts)
        if len(inner) + len(flat) <= LINE_LENGTH:
            return f"{prefix}{start}\n{inner}{flat}\n{indent}{end}"
    elif isinstance(node, ast.Tuple):
        parts, start, end = [("", each) for each in node.elts], "(", ")"
    elif isinstance(node, ast.Dict):
        pairs = zip(node.keys, node.values, strict=True)
        parts = [(f"{_text(source, key)}: ", each) for key, each in pairs if key is not None]
        start, end = "{", "}"
    else:
        return prefix + source
    rows = [wrapped(before, _text(source, each), inner) for before, each in parts]
    return f"{prefix}{start}\n" + "".join(f"{inner}{row},\n" for row in rows) + f"{indent}{end}"


def _text(source: str, node: ast.expr) -> str:
    return ast.get_source_segment(source, node) or ""
