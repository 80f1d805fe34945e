"""References in circles: one module, each schema complete, and grouping of graphs."""

from __future__ import annotations

import json
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from codegen.circles import circles
from sdk import avro
from sdk.avro.schema import parse_schema
from tests.codegen.regenerate import CASES
from tests.codegen.tree import Tree

GRAPHS = st.dictionaries(st.integers(0, 8), st.lists(st.integers(0, 8), max_size=4), max_size=9)


@given(GRAPHS)
def test_groups_are_what_reaches_each_other_in_dependency_order(
    graph: dict[int, list[int]],
) -> None:
    """Compared with reachability worked out the slow way."""
    nodes = set(graph) | {target for targets in graph.values() for target in targets}
    edges = {node: graph.get(node, []) for node in nodes}

    def reach(node: int) -> set[int]:
        seen: set[int] = set()
        pending = [node]
        while pending:
            current = pending.pop()
            if current not in seen:
                seen.add(current)
                pending.extend(edges[current])
        return seen

    groups = [frozenset(group) for group in circles(edges)]
    assert set(groups) == {frozenset(m for m in reach(n) if n in reach(m)) for n in nodes}
    done: set[int] = set()
    for group in groups:
        assert all(target in done | group for node in group for target in edges[node])
        done |= group


def test_a_long_chain_does_not_exhaust_the_stack() -> None:
    """Chains longer than Python's stack are walked, too."""
    assert len(list(circles({number: [number + 1] for number in range(5000)}))) == 5001


def test_a_circle_of_files_round_trips_and_registers_alone(tmp_path: Path) -> None:
    """Both classes share a module; each schema has the other written into it."""
    tree = Tree(tmp_path)
    for path in (CASES / "circle/schemas").rglob("*.avsc"):
        tree.write({str(path.relative_to(CASES / "circle/schemas")): path.read_text("utf-8")})
    assert tree.run().status == 0
    with tree.imported("shop") as shop:
        genre = shop.Genre.__event__
        for cls in (shop.Author, shop.Book):
            assert cls.__event__.references == (genre,)
            parsed = parse_schema(cls.__event__.schema, references=[json.loads(genre.schema)])
            assert parsed.name == cls.__event__.full_name
        author = shop.Author(name="A", genre=shop.Genre.CRIME)
        cover = shop.book.v1.Cover.HARD
        book = shop.Book(title="T", author=author, cover=cover)
        assert avro.decode(shop.Book, avro.encode(book)) == book
        assert shop.Book is shop.author.v1.Book
