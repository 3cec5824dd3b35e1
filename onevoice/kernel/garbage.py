"""When a process looks for garbage: seldom, in roles that make many small objects and no cycles.

To look for cycles among all that the libraries have made takes tens of milliseconds, in which nobody is answered.
"""

import atexit
import gc

OBJECTS = 50_000
"""New objects after which it is looked for cycles among them."""


def look_seldom() -> None:
    """Leaves out of every look what is there already; to be called when a role has started."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(OBJECTS)
    atexit.register(gc.unfreeze)  # so that what the libraries hold is given back, and they do not complain
