"""The proof that classes equal their schemas notices every kind of drift."""

from __future__ import annotations

import io

import pytest

from codegen.identity import prove_identity
from codegen.progress import Progress
from tests.codegen.regenerate import CASES
from tests.codegen.test_cases import NAMES
from tests.codegen.tree import texts


def proved(files: dict[str, str]) -> list[str]:
    """Return the reasons of the proof."""
    return [reason for _, reason in prove_identity(files, Progress(io.StringIO()))]


@pytest.mark.parametrize("name", NAMES)
def test_generated_classes_equal_their_schemas(name: str) -> None:
    """No golden case differs from its schema."""
    assert proved(texts(CASES / name / "expected")) == []


@pytest.mark.parametrize(
    ("case", "before", "after", "reason"),
    [
        ("unions", "    single: int", "    single: str", "another type"),
        ("unions", "Left | Right\n", "Left\n", "another type"),
        ("unions", "    text: str | None\n", "", "attributes for"),
        (
            "unions",
            "    moment: dt.date | dt.datetime | None\n",
            "    extra: int\n",
            "stands where",
        ),
        ("unions", 'text_last: str | None = "a"', 'text_last: str | None = "b"', "another default"),
        ("unions", 'text_last: str | None = "a"', "text_last: str | None", "having a default"),
        ("unions", '"shop.Left": Left', '"shop.Other": Left', "shop.Left has no class"),
        ("unions", 'full_name="shop.Choice"', 'full_name="shop.Other"', "full name"),
        ("enums", 'OPEN = "OPEN"', 'OPEN = "OPENED"', "symbols differ"),
        ("enums", "State = State.OPEN", "State = State.CLOSED", "another default"),
        ("defaults", 'Decimal("12.34")', 'Decimal("12.35")', "another default"),
        ("defaults", 'Decimal("12.34")', 'Decimal("1.234")', "another default"),
        ("defaults", "dt.date(1969, 12, 31)", "dt.date(1970, 1, 1)", "another default"),
        ("defaults", "Point(x=1, y=2)", "Point(x=2, y=2)", "another default"),
        ("defaults", "Point(x=1, y=2)", "Point(y=2)", "another default"),
        ("defaults", "(1, 2)", "(1, 2, 3)", "another default"),
        ("defaults", "{'a \"b\"': 1}", "{'a \"b\"': 2}", "another default"),
        ("defaults", "b'\\x00\\xff\"'", "b'\\x00\\xff'", "another default"),
        ("defaults", "datetime(1970, 1, 1)", "datetime(1970, 1, 1, tzinfo=dt.UTC)", "default"),
        ("defaults", "Duration(months=1", "Duration(months=2", "another default"),
        ("defaults", 'float("nan")', "0.0", "another default"),
        ("defaults", "flag: bool = True", "flag: bool = 1", "another default"),
        ("logical_types", "at_us: dt.datetime", "at_us: dt.date", "another type"),
        ("logical_types", "unknown: int", "unknown: dt.datetime", "another type"),
        ("arrays_and_maps", "numbers: tuple[int, ...]", "numbers: tuple[str, ...]", "another type"),
        (
            "namespaces",
            "again: BaseMoney | TargetMoney",
            "again: Money | TargetMoney",
            "another type",
        ),
        ("roots", "Numbers: TypeAlias = tuple[", "Numbers: TypeAlias = list[", "alias"),
        ("fixed", "either: bytes | Token", "either: bytes", "another type"),
    ],
)
def test_drift_is_noticed(case: str, before: str, after: str, reason: str) -> None:
    """A class that was changed, by hand or by a defect of the generator, is told."""
    files = texts(CASES / case / "expected")
    changed = {path: text.replace(before, after) for path, text in files.items()}
    assert changed != files
    assert any(reason in told for told in proved(changed))
