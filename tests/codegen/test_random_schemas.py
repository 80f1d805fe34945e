"""Random schemas: each becomes a module that runs, equals its schema, and round-trips."""

from __future__ import annotations

import ast
import io
import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from codegen.builder import build
from codegen.linker import link
from codegen.progress import Progress
from codegen.render import render_module
from codegen.sources import Root, SchemaFile
from sdk import avro
from sdk.errors import ConfigurationError
from sdk.testing import events
from tests.codegen.identity import differences
from tests.codegen.tree import executed
from tests.unit.avro.schemas import schemas


@settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))
@given(schemas(depth=4, logical=True), st.data())
def test_random_schema(value: Any, data: st.DataObject) -> None:
    """Whatever the schema is, its module imports, equals it, and its events survive the codec."""
    name = value["name"] if isinstance(value, dict) and "name" in value else "shop.Root"
    file = SchemaFile("shop/R/v1.avsc", "shop/R/v1.avsc", lambda pointer: (1, 1))
    root = Root(name, 1, value, json.dumps(value), file, "", "shop", ("shop", "r"))
    quiet = Progress(io.StringIO())
    linked = link([root], quiet)
    assert not linked.findings
    contracts = build(linked.units, quiet)
    (module,) = contracts.modules
    source = render_module(module)
    ast.parse(source)
    if contracts.findings:  # such as a date beyond what Python can hold
        return
    generated = executed(source)
    if hasattr(generated, "SCHEMA"):
        info = generated.SCHEMA
    else:
        info = getattr(generated, module.types[-1].name).__event__
    assert json.loads(info.schema) == value
    cls = info.types.get(name)
    if hasattr(cls, "__attrs_attrs__"):
        assert list(differences(cls)) == []
        try:
            strategy = events(cls)
        except ConfigurationError:  # no value is finite
            return
        event = data.draw(strategy)
        assert avro.decode(cls, avro.encode(event)) == event
