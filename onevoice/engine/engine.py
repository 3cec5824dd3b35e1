"""The engine: one step brings the warehouse up to date and moves the journeys on. Live, in the demo and in tests alike.

A step is a row of hops, each idempotent, each receiver with its watermark; a kill anywhere is mended by the next step.
"""

import time
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from onevoice import database, warehouse
from onevoice.customers.contact import store as contact
from onevoice.customers.identifiers import Rules
from onevoice.customers.publish import publish
from onevoice.engine.load import PROJECTED, TABLES, identity_rules, load
from onevoice.journeys import handoff, outward
from onevoice.journeys import service as journeys
from onevoice.journeys.leaving import in_flight
from onevoice.journeys.tick import TickReport, tick
from onevoice.kernel.settings import Settings
from onevoice.privacy import erasure, retention
from onevoice.segments import lists
from onevoice.segments import service as segments
from onevoice.segments.refresh import Refresher
from onevoice.warehouse import Warehouse, watermark

LOADING = timedelta(seconds=1)
"""After so long a step with a budget begins no further load."""


@dataclass
class StepReport:
    """What a step did."""

    loaded: int = 0
    ticks: list[TickReport] = field(default_factory=list)
    handed_off: int = 0
    carried_out: int = 0
    erased: int = 0


class Engine:
    """Owns the warehouse. One at a time: `run` in role.py takes the lock that makes it so."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.database = database.engine(settings)
        self.secret = settings.secret()
        self.warehouse: Warehouse = warehouse.connect(settings.warehouse, settings.warehouse_memory_mb)
        self.warehouse.create(TABLES)
        self.refresher = Refresher(self.warehouse)

    def step(self, now: datetime, budget: timedelta | None = None) -> StepReport:
        """Loads, publishes, refreshes segments, ticks journeys, hands messages off. `now` is aware, in UTC.

        `budget` bounds the time given to segments that everybody must be asked about, so that no load waits for them;
        they go on in the next step, as does the load after `LOADING`. Without it all that waited is loaded and all
        segments are up to date when the step ends.
        """
        report = StepReport()
        began = time.monotonic()
        while taken := load(self.warehouse, self.database, self.secret, identity=self.settings.identity):
            report.loaded += taken
            if budget is not None and time.monotonic() - began > LOADING.total_seconds():
                break  # where more comes all the time, segments and journeys must have their turn
        publish(self.warehouse, self.database, watermark(self.warehouse, "revision")[0])
        report.erased = erasure.carry_out(
            self.warehouse, self.database, TABLES, PROJECTED, self.secret, now, self._rules()
        )
        retention.carry_out(self.warehouse, self.database, now)
        with self.database.connect() as connection:
            lists.sync(self.warehouse, connection)
            who = segments.all_segments(connection)
            live = journeys.live(connection, in_flight(self.warehouse))
            policy = contact.current(connection).policy
        try:
            if budget is None:
                self.refresher.all(who, now)
            else:
                self.refresher.prepare(who, now)
                self.refresher.first(set().union(*(journey.document.segments for journey in live)), now, budget)
            if live:
                report.ticks.append(tick(self.warehouse, live, now, policy))
            if budget is not None:
                self.refresher.others(now, budget)
        except BaseException:
            self.refresher.start_anew()
            raise
        with self.database.begin() as connection:
            report.handed_off = handoff.hand_off(self.warehouse, connection, now)
        with self.database.begin() as connection:
            report.carried_out = outward.carry_out(self.warehouse, connection, now)
        return report

    def _rules(self) -> Rules:
        with self.database.connect() as connection:
            return identity_rules(connection, self.settings.identity)

    def close(self) -> None:
        """Gives the warehouse's file free for another process."""
        self.warehouse.close()
        self.database.dispose()
