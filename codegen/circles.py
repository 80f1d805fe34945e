"""Groups the nodes of a graph that reach each other (Tarjan's strongly connected components)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol, Self, TypeVar


class _Sortable(Protocol):
    def __hash__(self) -> int: ...

    def __lt__(self, other: Self, /) -> bool: ...


_Node = TypeVar("_Node", bound=_Sortable)


def circles(edges: Mapping[_Node, Iterable[_Node]]) -> Iterator[list[_Node]]:
    """Yield groups of nodes that reach each other, each after the groups that it reaches.

    A node in no circle is a group of its own. The order depends on the graph alone. No recursion,
    because chains of references may be longer than Python's stack.
    """
    index: dict[_Node, int] = {}
    low: dict[_Node, int] = {}
    open_nodes: list[_Node] = []
    is_open: set[_Node] = set()
    for start in sorted(edges):
        work = [] if start in index else [_enter(start, edges, index, low, open_nodes, is_open)]
        while work:
            node, rest = work[-1]
            for target in rest:
                if target not in index:
                    work.append(_enter(target, edges, index, low, open_nodes, is_open))
                    break
                if target in is_open:
                    low[node] = min(low[node], index[target])
            else:
                work.pop()
                if work:
                    parent = work[-1][0]
                    low[parent] = min(low[parent], low[node])
                if low[node] == index[node]:
                    group = open_nodes[open_nodes.index(node) :]
                    del open_nodes[-len(group) :]
                    is_open.difference_update(group)
                    yield group


def _enter(
    node: _Node,
    edges: Mapping[_Node, Iterable[_Node]],
    index: dict[_Node, int],
    low: dict[_Node, int],
    open_nodes: list[_Node],
    is_open: set[_Node],
) -> tuple[_Node, Iterator[_Node]]:
    index[node] = low[node] = len(index)
    open_nodes.append(node)
    is_open.add(node)
    return node, iter(sorted(edges.get(node, ())))
