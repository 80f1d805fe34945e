"""Groups the nodes of a graph that reach each other (Tarjan's strongly connected components)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from codegen.sources import Key


def circles(edges: Mapping[Key, Iterable[Key]]) -> Iterator[list[Key]]:
    """Yield groups of nodes that reach each other, each after the groups that it reaches.

    A node in no circle is its own group. The order depends on the graph alone. No recursion,
    because chains of references may be longer than Python's stack.
    """
    index: dict[Key, int] = {}
    low: dict[Key, int] = {}
    reached: list[Key] = []
    grouped: set[Key] = set()
    work: list[tuple[Key, Iterator[Key]]] = []

    def enter(node: Key) -> None:
        index[node] = low[node] = len(index)
        reached.append(node)
        work.append((node, iter(sorted(edges.get(node, ())))))

    for start in sorted(edges):
        if start not in index:
            enter(start)
        while work:
            node, rest = work[-1]
            target = next(rest, None)
            if target is None:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == index[node]:
                    group = reached[reached.index(node) :]
                    del reached[-len(group) :]
                    grouped.update(group)
                    yield group
            elif target not in index:
                enter(target)
            elif target not in grouped:
                low[node] = min(low[node], index[target])
