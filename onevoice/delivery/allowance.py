"""How often something may be done within a while, per key: a brake for what anybody may call. Kept by one process."""

from collections import OrderedDict, deque
from collections.abc import Hashable
from datetime import datetime, timedelta

MOST_KEYS = 10_000
"""Keys remembered; beyond, the one not seen for longest is forgotten."""


class Allowance:
    """At most `most` times within `within`."""

    def __init__(self, most: int, within: timedelta) -> None:
        self.most, self.within = most, within
        self._times: OrderedDict[Hashable, deque[datetime]] = OrderedDict()

    def take(self, key: Hashable, now: datetime) -> bool:
        """Whether it may be done once more now; if so, it counts."""
        times = self._times.setdefault(key, deque())
        self._times.move_to_end(key)
        if len(self._times) > MOST_KEYS:
            self._times.popitem(last=False)
        while times and times[0] <= now - self.within:
            times.popleft()
        if len(times) >= self.most:
            return False
        times.append(now)
        return True
