"""Parts of generated classes: converters, validators, lazy names, the catalog."""

from __future__ import annotations

import datetime as dt
import enum
import sys
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

import pytest
from attrs import field, frozen, validators
from hypothesis import given
from hypothesis import strategies as st

from sdk.errors import ConfigurationError, InvalidValueError, SerializationError
from sdk.events import (
    Catalog,
    CatalogEntry,
    EventInfo,
    aware,
    checked,
    decimal_digits,
    each,
    fixed_size,
    float32,
    freeze,
    int32,
    int64,
    lazy_names,
    naive,
    to_map,
    to_millis,
    to_tuple,
)


@frozen(kw_only=True, field_transformer=checked)
class Sample:
    """A class as the generator makes them."""

    __event__: ClassVar[EventInfo] = EventInfo(
        full_name="shop.Sample", version=1, schema="{}", fingerprint="0" * 16
    )

    small: int = field(default=0, validator=int32)
    large: int = field(default=0, validator=int64)
    price: Decimal | None = field(default=None, validator=decimal_digits(5, 2))
    code: bytes | None = field(default=None, validator=fixed_size(2))
    tags: tuple[str, ...] = field(default=(), converter=to_tuple[str])
    counts: Mapping[str, int] = field(factory=dict, converter=to_map[int])
    nested: Mapping[str, tuple[Mapping[str, tuple[int, ...]] | tuple[int, ...], ...]] | str = field(
        default="", converter=freeze[Any]
    )
    ratio: float = field(default=0.0, validator=float32)
    ratios: tuple[float, ...] = field(
        default=(), converter=to_tuple[float], validator=each(float32)
    )
    day: dt.date | None = None
    at: dt.datetime | None = field(default=None, validator=aware, converter=to_millis[Any])
    local: dt.datetime | None = field(default=None, validator=naive)
    opens: dt.time | None = field(default=None, validator=naive)
    both: str | int | None = None
    inner: Sample | None = None


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("small", 2**31, "does not fit an int"),
        ("small", -(2**31) - 1, "does not fit an int"),
        ("large", 2**63, "does not fit a long"),
        ("price", Decimal("1.001"), "does not fit decimal(5, 2)"),
        ("price", Decimal("1000"), "does not fit decimal(5, 2)"),
        ("price", Decimal("NaN"), "does not fit"),
        ("price", Decimal("sNaN"), "does not fit"),
        ("price", Decimal("Infinity"), "does not fit"),
        ("code", b"abc", "3 bytes given"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_with_its_place(
    name: str, value: Any, message: str
) -> None:
    """The error names event, field and remedy; it is a ValueError and one of ours."""
    with pytest.raises(InvalidValueError) as refused:
        Sample(**{name: value})
    assert message in str(refused.value)
    assert refused.value.event == "shop.Sample"
    assert refused.value.path == name
    assert refused.value.remedy
    assert isinstance(refused.value, ValueError)
    assert isinstance(refused.value, SerializationError)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("small", 2**31 - 1),
        ("small", -(2**31)),
        ("large", -(2**63)),
        ("price", Decimal("999.99")),
        ("price", Decimal("1.5000")),
        ("price", Decimal("1E+2")),
        ("price", Decimal("-0.00")),
        ("price", None),
        ("code", b"ab"),
        ("code", None),
    ],
)
def test_a_value_at_the_limit_is_accepted_unchanged(name: str, value: Any) -> None:
    """Validators change nothing, and accept null if the type includes it."""
    assert getattr(Sample(**{name: value}), name) is value


@given(st.decimals(allow_nan=False, allow_infinity=False, places=2))
def test_decimals_are_judged_by_arithmetic(value: Decimal) -> None:
    """A decimal fits exactly if its unscaled value has no more digits than the precision."""
    fits = abs(value * 100) < 10**5
    try:
        Sample(price=value)
    except InvalidValueError:
        assert not fits
    else:
        assert fits


NOON = dt.datetime(2026, 1, 2, 12, 0, 0, 123456, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("name", "value", "message", "path"),
    [
        ("small", "1", "expected int, not str", "small"),
        ("small", True, "expected int, not bool", "small"),
        ("small", None, "expected int, not None", "small"),
        ("price", 1.5, "expected Decimal, not float", "price"),
        ("code", "ab", "expected bytes, not str", "code"),
        ("code", bytearray(b"ab"), "expected bytes, not bytearray", "code"),
        pytest.param("small", 10**5000, "of very many digits does not fit", "small", id="long int"),
        pytest.param(
            "ratio",
            10**5000,
            "number of very many digits has no exact float",
            "ratio",
            id="long float",
        ),
        ("tags", ["a", 1], "expected str, not int", "tags[1]"),
        ("counts", {"a": "b"}, "expected int, not str", "counts['a']"),
        ("counts", {1: 1}, "expected a key of class str, not int", "counts[1]"),
        ("nested", {"x": [[1, "2"]]}, "expected int, not str", "nested['x'][0][1]"),
        ("nested", {"x": [{"y": [None]}]}, "expected int, not None", "nested['x'][0]['y'][0]"),
        ("nested", 5, "expected a map or str, not int", "nested"),
        ("ratio", 1e39, "does not fit a float of 32 bits", "ratio"),
        ("ratio", 2**60 + 1, "has no exact float", "ratio"),
        ("ratios", [1.0, 1e39], "does not fit a float of 32 bits", "ratios[1]"),
        ("day", NOON, "expected date, not datetime", "day"),
        ("day", "2026-01-02", "expected date, not str", "day"),
        ("at", NOON.replace(tzinfo=None), "has no time zone", "at"),
        ("at", NOON.date(), "expected datetime, not date", "at"),
        ("local", NOON, "has a time zone", "local"),
        ("opens", NOON.timetz(), "has a time zone", "opens"),
        ("both", 1.5, "expected str or int or None, not float", "both"),
        ("inner", {"small": 1}, "expected Sample, not dict", "inner"),
    ],
)
def test_a_value_of_a_wrong_type_is_refused_with_its_place(
    name: str, value: Any, message: str, path: str
) -> None:
    """The constructor checks types at any depth, and names event, place and remedy."""
    with pytest.raises(InvalidValueError) as refused:
        Sample(**{name: value})
    assert message in str(refused.value)
    assert refused.value.event == "shop.Sample"
    assert refused.value.path == path
    assert refused.value.remedy


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ratio", 3),
        ("small", enum.IntEnum("Level", "LOW").LOW),  # type: ignore[attr-defined]
        ("ratios", (1, 2.5)),
        ("counts", {}),
        ("both", 1),
        ("both", "x"),
        ("inner", Sample()),
        ("day", dt.date(2026, 1, 2)),
        ("local", NOON.replace(tzinfo=None)),
        ("at", NOON.replace(microsecond=123000)),
        ("opens", dt.time(9)),
    ],
)
def test_what_the_encoder_takes_the_constructor_takes_too(name: str, value: Any) -> None:
    """Values that have one exact form on the wire are accepted as they are."""
    assert getattr(Sample(**{name: value}), name) == value


def test_times_are_cut_to_the_unit_of_the_schema() -> None:
    """Times are truncated to milliseconds, so that the event equals its bytes."""
    assert Sample(at=NOON).at == NOON.replace(microsecond=123000)
    assert to_millis[Any]([{"x": dt.time(1, 2, 3, 999999)}]) == ({"x": dt.time(1, 2, 3, 999000)},)


def test_checks_can_be_turned_off_as_any_validation() -> None:
    """The switch of attrs turns all checks off."""
    with validators.disabled():
        assert Sample(small="x").small == "x"  # type: ignore[arg-type]


@pytest.mark.parametrize("value", ["text", b"bytes", {"a": 1}, 5, None])
def test_what_is_no_array_is_refused(value: Any) -> None:
    """Text is iterable, but hardly an array of letters."""
    with pytest.raises(InvalidValueError, match="expected an array"):
        Sample(tags=value)


@pytest.mark.parametrize("value", [[("a", 1)], "text", 5, None])
def test_what_is_no_map_is_refused(value: Any) -> None:
    """Anything but a mapping is refused as a map."""
    with pytest.raises(InvalidValueError, match="expected a map"):
        Sample(counts=value)


def test_arrays_and_maps_are_copied_at_any_depth() -> None:
    """Later changes by the caller do not affect the event."""
    inner = [1, 2]
    given_map: Any = {"x": [inner, {"y": inner}]}
    sample = Sample(tags=["a"], counts={"b": 1}, nested=given_map)
    inner.append(3)
    given_map["z"] = []
    assert sample.tags == ("a",)
    assert sample.nested == {"x": ((1, 2), {"y": (1, 2)})}
    assert Sample(nested="text").nested == "text"


def test_converters_and_validators_are_of_one_package() -> None:
    """Decoders know by the package's name what they may bypass."""
    hooks = [each.converter for each in Sample.__attrs_attrs__] + [  # type: ignore[attr-defined]
        each.validator
        for each in Sample.__attrs_attrs__  # type: ignore[attr-defined]
    ]
    modules = {hook.__module__ for hook in hooks if hook is not None}
    assert modules == {"sdk.events.checks", "sdk.events.fields"}


@pytest.fixture
def package(tmp_path: Path) -> Iterator[Path]:
    """A package with two modules, one of which must not be imported."""
    folder = tmp_path / "lazy_sample"
    folder.mkdir()
    (folder / "__init__.py").write_text(
        "from sdk.events import lazy_names\n"
        "__getattr__ = lazy_names(__name__, {'value': '.good', 'other': '.bad'})\n",
        encoding="utf-8",
    )
    (folder / "good.py").write_text("value = 7\n", encoding="utf-8")
    (folder / "bad.py").write_text("raise RuntimeError\n", encoding="utf-8")
    sys.path.insert(0, str(tmp_path))
    yield folder
    sys.path.remove(str(tmp_path))
    for name in [name for name in sys.modules if name.startswith("lazy_sample")]:
        del sys.modules[name]


def test_lazy_names_import_only_what_is_used(package: Path) -> None:
    """A name is imported when it is asked for, and then stays."""
    import lazy_sample  # type: ignore[import-not-found]

    assert lazy_sample.value == 7
    assert "value" in vars(lazy_sample)
    assert "lazy_sample.bad" not in sys.modules
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        lazy_sample.nothing  # noqa: B018


def test_lazy_names_refuse_what_they_do_not_know() -> None:
    """An unknown name is an AttributeError, as of any module."""
    with pytest.raises(AttributeError):
        lazy_names("sdk", {})("x")


CATALOG = Catalog(
    [
        CatalogEntry("shop.Sample", 2, __name__, "Sample"),
        CatalogEntry("shop.Sample", 1, __name__, "Sample"),
        CatalogEntry("shop.Order", 1, __name__, "Missing"),
        CatalogEntry("bank.Order", 1, __name__, "Missing"),
    ]
)


def test_the_catalog_lists_versions_in_order() -> None:
    """Entries come by name, versions ascending."""
    assert [(each.full_name, each.version) for each in CATALOG][:2] == [
        ("shop.Sample", 1),
        ("shop.Sample", 2),
    ]
    assert len(CATALOG) == 4


@pytest.mark.parametrize(
    ("name", "version", "remedy"),
    [
        ("Order", None, "use the full name"),
        ("shop.Sampel", None, "did you mean 'shop.Sample'"),
        ("Sample", 3, "known versions: 1, 2"),
        ("Zzz", None, "generate its class first"),
    ],
)
def test_the_catalog_tells_what_it_cannot_find(name: str, version: int | None, remedy: str) -> None:
    """Unknown and ambiguous names are configuration errors with a remedy."""
    with pytest.raises(ConfigurationError) as refused:
        CATALOG.find(name, version)
    assert remedy in str(refused.value)
