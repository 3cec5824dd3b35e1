"""Sees to it that imports asked for are carried out: while there are some, a process for them runs beside the api.

A process, because reading a file takes memory and a core, which requests must not wait for. Who takes over after a kill
is decided by the lock in `events/imports/jobs.py`, so any number of apis may look.
"""

import asyncio
import contextlib
import os
import sys

import sqlalchemy.exc
from sqlalchemy import Engine

from onevoice.events.imports import jobs
from onevoice.kernel.log import logger
from onevoice.kernel.settings import Settings, as_environment

LOOK_SECONDS = 1.0

STOP_SECONDS = 5.0
"""What the process may take to stop; a job that is cut off goes on with the next start."""

log = logger("imports")


class Carrying:
    """Looks for jobs until stopped."""

    def __init__(self, settings: Settings, database: Engine) -> None:
        self.settings, self.database = settings, database
        self.process: asyncio.subprocess.Process | None = None
        self.looking: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins to look; to be called within the loop."""
        self.looking = asyncio.create_task(self._look())

    async def stop(self) -> None:
        """Stops looking, and the process."""
        assert self.looking is not None
        self.looking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.looking
        if self.process is None or self.process.returncode is not None:
            return
        self.process.terminate()
        try:
            await asyncio.wait_for(self.process.wait(), STOP_SECONDS)
        except TimeoutError:
            self.process.kill()
            await self.process.wait()

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if self.process is not None and self.process.returncode is None:
                continue
            try:
                if await asyncio.to_thread(self._is_needed):
                    self.process = await asyncio.create_subprocess_exec(
                        *(sys.executable, "-m", "onevoice", "import-jobs"), env=self._environment()
                    )
            except (sqlalchemy.exc.OperationalError, sqlalchemy.exc.TimeoutError, OSError) as error:
                log.warning("cannot look for imports, trying again", error=str(error))

    def _is_needed(self) -> bool:
        with self.database.begin() as connection:
            return jobs.is_needed(connection)

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("ONEVOICE_")}
        return {**kept, **as_environment(self.settings)}
