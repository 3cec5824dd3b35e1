"""Back-pressure: whoever sends more than the engine or the disk can follow is told to come again, while all is well.

Watched each second by every api process; a refusal costs a request nothing but a look at what was seen last. Here too
the message ids of a month ago are forgotten, now and then (`door.forget`).
"""

import asyncio
import shutil
import time
from pathlib import Path

from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError

from onevoice import database
from onevoice.database.backlog import Backlog
from onevoice.events import door
from onevoice.kernel.clock import Clock
from onevoice.kernel.errors import TooMany
from onevoice.kernel.log import logger
from onevoice.kernel.settings import Settings

LOOK_SECONDS = 1.0
"""Between two looks; longer where looking takes long, so that it never takes more than a twentieth of the time."""

PATIENCE_SECONDS = 5
"""How long a locked table is waited for; then it is looked at another time."""

LONGEST_LOOK_SECONDS = 20
"""How long a look may take: the first, at a start with a backlog of millions of rows, takes seconds."""

FORGET_SECONDS = 600.0

RETRY_SECONDS = 5
"""When to come again."""

MEGABYTE = 1024 * 1024

log = logger("pressure")


class Pressure:
    """What was seen last, and the loop that looks."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings, self._clock = settings, clock
        self._backlog = Backlog()
        self._full = ""
        self._forgot_at = float("-inf")

    def check(self) -> None:
        """Raises TooMany where no more can be taken for now."""
        if self._full:
            raise TooMany(self._full, retry_after=RETRY_SECONDS)

    async def watch(self) -> None:
        """Looks for ever."""
        pool = database.engine(self._settings)
        try:
            while True:
                began = time.monotonic()
                full = await asyncio.to_thread(self._look, pool)
                if full != self._full:
                    log.warning("pressure", full=full or "no more")
                self._full = full
                await asyncio.sleep(max(LOOK_SECONDS, 19 * (time.monotonic() - began)))
        finally:
            pool.dispose()

    def _look(self, pool: Engine) -> str:
        free = shutil.disk_usage(_nearest(self._settings.data_dir)).free / MEGABYTE
        if free < self._settings.disk_reserve_mb:
            return f"The disk has {free:,.0f} MB left, less than the {self._settings.disk_reserve_mb} MB kept free"
        try:
            with pool.begin() as connection:
                connection.execute(text(f"SET LOCAL lock_timeout = '{PATIENCE_SECONDS}s'"))
                connection.execute(text(f"SET LOCAL statement_timeout = '{LONGEST_LOOK_SECONDS}s'"))
                calls, size = self._backlog.look(connection)
                if time.monotonic() - self._forgot_at > FORGET_SECONDS:
                    door.forget(connection, self._clock.now())
                    self._forgot_at = time.monotonic()
        except SQLAlchemyError as error:
            log.error("could not look at the inbox", error=repr(error))
            return self._full  # writing says what is wrong; when looking works again, this will be true again
        if size > self._settings.inbox_limit_mb * MEGABYTE:
            return f"{calls:,} calls ({size / MEGABYTE:,.0f} MB) wait for the engine; it has to catch up first"
        return ""


def _nearest(folder: Path) -> Path:
    """The folder, or the nearest above it that exists."""
    folder = folder.resolve()
    return next(path for path in (folder, *folder.parents) if path.exists())
