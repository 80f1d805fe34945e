"""All public names are in `sdk` or in a module that its docstring lists."""

from __future__ import annotations

import importlib
import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any, get_args, get_type_hints

import pytest

import sdk
import sdk.messaging

PUBLIC = {"sdk", *re.findall(r"`(sdk\.\w+)`", sdk.__doc__ or "")}
SIGNATURES = [
    sdk.connect,
    *(
        getattr(owner, name)
        for owner in (sdk.Messaging, sdk.Producer, sdk.Consumer, sdk.Encoder, sdk.Delivery)
        for name in dir(owner)
        if not name.startswith("_") and inspect.isfunction(getattr(owner, name))
    ),
]


def mentioned(hint: Any) -> Iterator[type]:
    """Yield the classes of the SDK that a type hint mentions."""
    if inspect.isclass(hint) and hint.__module__.startswith("sdk."):
        yield hint
    for inner in get_args(hint):
        yield from mentioned(inner)


@pytest.mark.parametrize("function", SIGNATURES, ids=lambda function: function.__qualname__)
def test_classes_of_signatures_are_public(function: Any) -> None:
    """Each class in a public signature can be imported from `sdk` or a module named there."""
    from opentelemetry.trace import TracerProvider

    from sdk.embedded import Joined
    from sdk.observability import StatusServer
    from sdk.replay import DeadLetters
    from sdk.settings.loading import SettingsPaths

    loaded = (DeadLetters, StatusServer, Joined, TracerProvider, sdk.Consumer, sdk.FailurePolicy)
    lazy = {each.__name__: each for each in loaded} | {"SettingsPaths": SettingsPaths}
    for hint in get_type_hints(function, {**function.__globals__, **lazy}).values():
        for cls in mentioned(hint):
            homes = [
                name for name in PUBLIC if hasattr(importlib.import_module(name), cls.__name__)
            ]
            assert homes, f"{cls.__module__}.{cls.__name__} of {function.__qualname__}"


def test_all_names_resolve() -> None:
    """Every name of `sdk.__all__` exists, and an unknown one is an AttributeError."""
    for name in sdk.__all__:
        assert getattr(sdk, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'connnect'"):
        _ = sdk.connnect  # type: ignore[attr-defined]


def test_version() -> None:
    """`sdk.__version__` is the version of the distribution."""
    assert sdk.__version__ == version("avro-messaging-sdk")


def test_plain_import() -> None:
    """After `import sdk` alone, errors are there and no heavy library is loaded."""
    code = (
        "import sys, sdk; sdk.errors.RoutingError; "
        "sys.exit(bool({'confluent_kafka', 'dynaconf', 'fastavro'} & set(sys.modules)))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_publishing_loads_nothing_of_consuming() -> None:
    """A process that only publishes does not import what consumers take."""
    code = (
        "import sys, sdk.messaging; "
        "sys.exit('sdk.consuming.consumer' in sys.modules or 'sdk.consuming.engine' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
