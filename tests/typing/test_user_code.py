"""Type checkers' errors in users' code with contracts and the SDK."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.typing.checkers import USER_CODE, Refusals, expected, mypy, pyright

FILES = sorted(path.name for path in USER_CODE.glob("*.py"))


@pytest.fixture(scope="module", params=[mypy, pyright], ids=["mypy", "pyright"])
def refusals(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Refusals:
    """The errors of one checker in all user code."""
    checker: Callable[..., Refusals] = request.param
    return checker(tmp_path_factory.mktemp("checker"))


@pytest.mark.parametrize("file", FILES)
def test_each_mistake_is_refused_and_nothing_else(file: str, refusals: Refusals) -> None:
    """A checker refuses exactly the lines that are marked as mistakes."""
    found = refusals.get(file, {})
    wanted = expected(file)
    assert {line: found[line] for line in set(found) - wanted} == {}
    assert wanted - set(found) == set()
