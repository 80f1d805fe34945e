"""Checks constructor arguments against the annotations of the class, at any depth.

Most constructor calls are correct, so there are two steps. One function of each class,
made from its annotations, compares the classes of all values. If one is not exactly the
annotated class, the value is examined: values that the codec also takes (such as an int for a
float) are accepted, and others are rejected with their path.
"""

from __future__ import annotations

import ast
import datetime as dt
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from types import NoneType
from typing import Any, Final, get_args, get_origin

import attrs

from sdk.events.fields import aware, int32, int64, naive, refuse, shown

Problem = tuple[str, str, str]
"""Path below a value, the problem there, and the remedy."""

_REMEDIES: Final[Mapping[str, str]] = {
    "Decimal": 'pass a Decimal, such as Decimal("1.50")',
    "UUID": "pass a UUID, such as UUID(text)",
    "datetime": "pass a datetime, such as datetime.fromisoformat(text)",
    "date": "pass a date, such as date.fromisoformat(text)",
    "time": "pass a time, such as time.fromisoformat(text)",
    "bytes": "pass bytes, which are immutable: bytes(buffer) or text.encode()",
}


_FITS: Final[Mapping[Any, str]] = {
    int32: "-0x8000_0000 <= v <= 0x7FFF_FFFF",
    int64: "-0x8000_0000_0000_0000 <= v <= 0x7FFF_FFFF_FFFF_FFFF",
    aware: "v.tzinfo is UTC",
    naive: "v.tzinfo is None",
}
"""Validator → an expression that is true if the validator accepts the value ``v``."""

Attributes = list["attrs.Attribute[Any]"]


def checked(cls: type[Any], attributes: Attributes) -> Attributes:
    """Make the constructor of a class check the types of all its fields.

    This is a field transformer: ``@frozen(kw_only=True, field_transformer=checked)``. Annotations
    must be text (``from __future__ import annotations``) of the forms that generated modules have.
    All fields are checked at once, by the validator of one of them: attrs runs validators when
    every field is set. It does the work of frequent validators too, which saves calls.
    """
    if not attributes:
        return attributes
    taken = {each.name: each.validator for each in attributes if each.validator in _FITS}
    check = _check_of(cls, attributes, taken)
    kept = [each.evolve(validator=None) if each.name in taken else each for each in attributes]
    host = max(range(len(kept)), key=lambda index: kept[index].validator is None)
    own = kept[host].validator
    validator = check if own is None else attrs.validators.and_(own, check)
    kept[host] = kept[host].evolve(validator=validator)
    return kept


def _check_of(
    cls: type[Any], attributes: Attributes, validators: Mapping[str, Any]
) -> Callable[..., None]:
    """Return a validator of all fields.

    Its source consists of annotations, which the module itself evaluates too. Names of classes are
    looked up when it runs, so that records may hold each other.

    Args:
        cls: The class that is being made.
        attributes: Its fields.
        validators: Attribute → its validator, if the result replaces that validator.
    """
    annotations = {each.name: str(each.type) for each in attributes}
    lines = ["def make(examine, UTC):", " def check(self, attribute, value):"]
    for name, annotation in annotations.items():
        branches = list(_branches(ast.parse(annotation, mode="eval").body))
        fits = _FITS[validators[name]] if name in validators else ""
        lines += [f"  v = self.{name}", *_source(branches, fits, f"examine(self, {name!r})")]
    source = "\n".join((*lines, " return check"))
    names, made = vars(sys.modules[cls.__module__]), dict[str, Any]()
    exec(compile(source, f"<checks of {cls.__qualname__}>", "exec"), names, made)  # noqa: S102

    @cache
    def wanted(name: str) -> Any:
        return eval(annotations[name], names)  # noqa: S307

    def examine(instance: Any, name: str) -> None:
        value = getattr(instance, name)
        problem = _problem(wanted(name), value)
        if problem is not None:
            path, message, remedy = problem
            refuse(instance, name + path, message, remedy)
        if name in validators:
            validators[name](instance, getattr(attrs.fields(type(instance)), name), value)

    check: Callable[..., None] = made["make"](examine, dt.UTC)
    check.__module__ = __name__
    return check


def _source(branches: list[ast.expr], fits: str, refused: str) -> Iterator[str]:
    """Yield statements that refuse ``v`` unless it has exactly the annotated classes.

    Containers inside containers are always examined, and so are values for which a validator checks
    more than the class.
    """
    exact = _is_one_of(branches, "v")
    if fits:
        classes = [each for each in branches if not isinstance(each, ast.Constant)]
        null = "v is None or " if len(classes) < len(branches) else ""
        exact = null + (f"{_is_one_of(classes, 'v')} and {fits}" if len(classes) == 1 else "False")
    yield f"  if {exact}: pass"
    for branch in branches:
        match branch:
            case ast.Subscript(value=ast.Name(id="tuple"), slice=ast.Tuple(elts=[items, _])):
                yield "  elif type(v) is tuple:"
                yield "   for i in v:"
                yield f"    if not ({_is_one_of(_branches(items), 'i')}): {refused}; break"
            case ast.Subscript(slice=ast.Tuple(elts=[_, values])):
                yield "  elif type(v) is dict:"
                yield "   for k, i in v.items():"
                fits = f"type(k) is str and ({_is_one_of(_branches(values), 'i')})"
                yield f"    if not ({fits}): {refused}; break"
    yield f"  else: {refused}"


def _branches(node: ast.expr) -> Iterator[ast.expr]:
    if isinstance(node, ast.BinOp):
        yield from _branches(node.left)
        yield from _branches(node.right)
    else:
        yield node


def _is_one_of(branches: Iterable[ast.expr], name: str) -> str:
    """Return an expression: a value has exactly the class of a branch that is not a container."""
    tests = (
        f"{name} is None"
        if isinstance(each, ast.Constant)
        else f"type({name}) is {ast.unparse(each)}"
        for each in branches
        if not isinstance(each, ast.Subscript)
    )
    return " or ".join(tests) or "False"


def _problem(wanted: Any, value: Any) -> Problem | None:
    """Return the problem of a value of a type, or None."""
    origin, parts = get_origin(wanted), get_args(wanted)
    if origin is tuple:
        return _problem_of_items(parts[0], value)
    if origin is not None and issubclass(origin, Mapping):
        return _problem_of_values(parts[1], value)
    if parts:
        return _problem_of_union(parts, value)
    if wanted is NoneType or wanted is None:
        return None if value is None else ("", f"expected None, not {_kind(value)}", "pass None")
    return None if _fits(wanted, value) else _unfit(wanted, value)


def _problem_of_items(wanted: Any, value: Any) -> Problem | None:
    if not isinstance(value, tuple):
        return "", f"expected an array, not {_kind(value)}", "pass a list or tuple"
    return _first((f"[{index}]", wanted, item) for index, item in enumerate(value))


def _problem_of_values(wanted: Any, value: Any) -> Problem | None:
    if not isinstance(value, Mapping):
        return "", f"expected a map, not {_kind(value)}", "pass a dict with text keys"
    for key in value:
        if not isinstance(key, str):
            return f"[{key!r}]", f"expected a key of class str, not {_kind(key)}", "use text keys"
    return _first((f"[{key!r}]", wanted, item) for key, item in value.items())


def _problem_of_union(branches: tuple[Any, ...], value: Any) -> Problem | None:
    problems = [_problem(branch, value) for branch in branches]
    if None in problems:
        return None
    deeper = [each for each in problems if each is not None and each[0]]
    others = [branch for branch in branches if branch is not NoneType]
    if deeper:
        return deeper[0]
    if len(others) == 1:
        return _problem(others[0], value)
    names = " or ".join(map(_name, branches))
    return "", f"expected {names}, not {_kind(value)}", "pass one of them"


def _first(items: Iterable[tuple[str, Any, Any]]) -> Problem | None:
    for step, wanted, item in items:
        problem = _problem(wanted, item)
        if problem is not None:
            path, message, remedy = problem
            return step + path, message, remedy
    return None


def _fits(wanted: type[Any], value: Any) -> bool:
    """Return whether the codec writes values of a class, and they are immutable."""
    if wanted is float:
        whole = isinstance(value, int) and not isinstance(value, bool)
        return isinstance(value, float) or (whole and _is_exact_float(value))
    if wanted is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if wanted is dt.date:
        return isinstance(value, dt.date) and not isinstance(value, dt.datetime)
    if attrs.has(wanted):
        return type(value) is wanted
    return isinstance(value, wanted)


def _is_exact_float(value: int) -> bool:
    try:
        return float(value) == value
    except OverflowError:
        return False


def _unfit(wanted: type[Any], value: Any) -> Problem:
    name = _name(wanted)
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        return "", f"{shown(value)} has no exact float", "pass a float"
    return "", f"expected {name}, not {_kind(value)}", _REMEDIES.get(name, f"pass {name}")


def _name(wanted: Any) -> str:
    if get_origin(wanted) is tuple:
        return "an array"
    if get_args(wanted):
        return "a map"
    return "None" if wanted is NoneType else wanted.__name__


def _kind(value: Any) -> str:
    return "None" if value is None else type(value).__name__
