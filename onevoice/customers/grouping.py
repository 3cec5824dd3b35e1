"""Who is one customer, decided from links alone: pure, the same whatever the order in which they came.

Links are tried from the strongest to the weakest (a person's decision, then trust, the namespace's priority, time), and
each joins two groups unless a rule forbids it. So where a limit would be exceeded it is the weakest identifier's link
that goes, and it comes back when there is room. A cluster whose links break no rule needs no trying: its parts are
found as arrays.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from onevoice.customers.identifiers import USER, Rules

Ints = NDArray[np.int64]

MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Edges:
    """Pairs of members (by their place) that may join, as columns."""

    left: Ints
    right: Ints
    explicit: NDArray[np.bool_]  # said to be one by a person, or by an alias from who can be believed
    trust: Ints  # 0 proven, 1 claimed, 2 device
    at: Ints  # first seen, in microseconds


@dataclass(frozen=True, slots=True)
class Refusal:
    """A link that does not join, and the rule that says so."""

    rule: str  # limit, size, apart
    left: int
    right: int
    namespace: str  # whose limit; empty for the other rules


def parts(size: int, left: Ints, right: Ints) -> Ints:
    """The connected part that each of `size` members is in."""
    from scipy.sparse import coo_array  # large, and of all roles only the engine asks
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(left), dtype=np.int8), (left, right)), shape=(size, size))
    return np.asarray(connected_components(graph, directed=False)[1], dtype=np.int64)


def least(label: Ints, ids: Ints) -> Ints:
    """For each member the smallest id in its part."""
    smallest = np.full(label.max() + 1 if len(label) else 0, np.iinfo(np.int64).max)
    np.minimum.at(smallest, label, ids)
    return np.asarray(smallest[label])


def grouped(
    ids: Ints, namespaces: Sequence[str], edges: Edges, apart: Iterable[tuple[int, int]], rules: Rules
) -> tuple[Ints, Ints, list[Refusal]]:
    """Each member's cluster (joined by links at all), its group (joined by links that count), and the links refused.

    `apart` are pairs of members that a person said are not the same.
    """
    size = len(ids)
    cluster = parts(size, edges.left, edges.right)
    held_apart = list(apart)
    broken = _breaking(cluster, namespaces, held_apart, rules)
    if not len(broken):
        return cluster, cluster, []
    suspect = np.zeros(cluster.max() + 1, dtype=bool)
    suspect[broken] = True
    tried = np.flatnonzero(suspect[cluster[edges.left]])
    keep, refusals = _tried(ids, namespaces, edges, tried, held_apart, rules)
    counts = ~suspect[cluster[edges.left]]
    counts[keep] = True
    return cluster, parts(size, edges.left[counts], edges.right[counts]), refusals


def _breaking(
    cluster: Ints, namespaces: Sequence[str], apart: Sequence[tuple[int, int]], rules: Rules
) -> NDArray[np.int64]:
    """Clusters that would break a rule if all links joined (periods and decisions aside: they only allow more)."""
    if not len(cluster):
        return np.zeros(0, dtype=np.int64)
    sizes = np.bincount(cluster)
    breaking = sizes > rules.largest_profile
    names, codes = np.unique(np.asarray(namespaces, dtype=object).astype(str), return_inverse=True)
    for code, name in enumerate(names):
        breaking |= np.bincount(cluster[codes == code], minlength=len(sizes)) > rules.of(name).limit
    for left, right in apart:
        if cluster[left] == cluster[right]:
            breaking[cluster[left]] = True
    return np.flatnonzero(breaking)


@dataclass(slots=True)
class _Group:
    members: list[int]
    explicit: int = 0  # decisions that made it
    named: dict[str, int] = field(default_factory=dict)  # identifiers of namespaces limited for ever; one per decision
    times: dict[str, list[int]] = field(default_factory=dict)  # of namespaces limited in a period: when first linked
    enemies: set[int] = field(default_factory=set)


def _tried(
    ids: Ints,
    namespaces: Sequence[str],
    edges: Edges,
    tried: NDArray[np.int64],
    apart: Sequence[tuple[int, int]],
    rules: Rules,
) -> tuple[list[int], list[Refusal]]:
    """The places of the links that join, and the refusals, trying them one by one from the strongest."""
    priority = {name: rules.of(name).priority for name in set(namespaces)}
    first: dict[int, int] = {}
    for one in tried:
        for end in (int(edges.left[one]), int(edges.right[one])):
            first[end] = min(first.get(end, int(edges.at[one])), int(edges.at[one]))
    groups = {end: _Group([end]) for end in first}
    for left, right in apart:
        if left in groups and right in groups:
            groups[left].enemies.add(right)
            groups[right].enemies.add(left)
    for end, group in groups.items():
        namespace = namespaces[end]
        if rules.of(namespace).period is None:
            group.named[namespace] = 1
        else:
            group.times[namespace] = [first[end]]

    def strength(one: int) -> tuple[int, ...]:
        left, right = int(edges.left[one]), int(edges.right[one])
        weaker = max(priority[namespaces[left]], priority[namespaces[right]])
        low, high = sorted((int(ids[left]), int(ids[right])))
        return (not edges.explicit[one], int(edges.trust[one]), weaker, int(edges.at[one]), low, high)

    keep, refusals = [], []
    for one in sorted(map(int, tried), key=strength):
        a, b = groups[int(edges.left[one])], groups[int(edges.right[one])]
        if a is b:
            keep.append(one)
            continue
        rule, namespace = _forbids(a, b, bool(edges.explicit[one]), rules)
        if rule:
            refusals.append(Refusal(rule, int(edges.left[one]), int(edges.right[one]), namespace))
            continue
        keep.append(one)
        if len(a.members) < len(b.members):
            a, b = b, a
        _join(a, b, bool(edges.explicit[one]))
        for member in b.members:
            groups[member] = a
    return keep, [one for one in refusals if groups[one.left] is not groups[one.right]]


def _forbids(a: _Group, b: _Group, explicit: bool, rules: Rules) -> tuple[str, str]:
    """The rule that two groups joined would break, and the namespace it is about; empty where none is."""
    fewer, more = (a, b) if len(a.members) < len(b.members) else (b, a)
    if (fewer.enemies or more.enemies) and any(member in more.enemies for member in fewer.members):
        return "apart", ""
    if len(a.members) + len(b.members) > rules.largest_profile:
        return "size", ""
    if explicit:
        return "", ""
    allowances = 1 + a.explicit + b.explicit  # who makes two customers one gives them the room of two
    for namespace, count in fewer.named.items():
        room = rules.of(namespace).limit * (1 if namespace == USER else allowances)
        if namespace in more.named and count + more.named[namespace] > room:
            return "limit", namespace
    for namespace, times in fewer.times.items():
        rule = rules.of(namespace)
        assert rule.period is not None
        if _crowded(more.times.get(namespace, []), times, rule.limit * allowances, rule.period // MICROSECOND):
            return "limit", namespace
    return "", ""


def _crowded(held: list[int], coming: list[int], limit: int, period: int) -> bool:
    """Whether more than `limit` of the times, which are sorted, would lie within a period."""
    if len(held) + len(coming) <= limit:
        return False
    both = sorted(held[bisect_left(held, coming[0] - period) : bisect_left(held, coming[-1] + period + 1)] + coming)
    return any(both[n + limit] - both[n] < period for n in range(len(both) - limit))


def _join(a: _Group, b: _Group, explicit: bool) -> None:
    a.members.extend(b.members)
    a.explicit += b.explicit + explicit
    for namespace, count in b.named.items():
        # Two ids that a decision made one count as one.
        a.named[namespace] = max(1, a.named.get(namespace, 0) + count - (explicit and namespace in a.named))
    for namespace, times in b.times.items():
        held = a.times.setdefault(namespace, [])
        for time in times:
            insort(held, time)
    a.enemies |= b.enemies
