"""The demo's script: a place, a server, a retailer's year, a journey, two simulated weeks, the figures, the address."""

import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import httpx
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from onevoice.cli import applying, serve
from onevoice.cli.kinds import Role
from onevoice.customers import consent, suppression
from onevoice.customers.consent import Consent
from onevoice.database.backlog import Backlog
from onevoice.demo import place, report, retailer, synthetic
from onevoice.demo.doubles import Doubles
from onevoice.demo.retailer import CARD, CITATION, END, Household
from onevoice.demo.simulation import DORMANT, Mailboxes, Played, Simulation
from onevoice.demo.synthetic import Person
from onevoice.engine import answers
from onevoice.engine.engine import Engine
from onevoice.engine.load import load
from onevoice.events import importing, sources
from onevoice.events.sources import Source
from onevoice.kernel.clock import SharedClock
from onevoice.kernel.errors import Unavailable
from onevoice.kernel.ids import identifier_id
from onevoice.kernel.settings import Settings
from onevoice.segments import service as segments

WINBACK = Path(__file__).parent / "winback"
"""The demo's segments, templates and journey, as a marketer would keep them."""

READY_SECONDS = 30.0
"""Real time the api may take to answer, once all is loaded."""

PAUSE_SECONDS = 1.0
"""Real time between two steps of the engine, once the demo is over and the server stays."""


@dataclass(frozen=True)
class Options:
    """What can be chosen on the command line."""

    serve: bool = True
    json_file: Path | None = None
    days: float = 14.0
    households: int | None = None  # fewer than all, for tests
    smtp_port: int = 8025
    providers_port: int = 8026


class Steps:
    """Progress bars and times of the steps."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.seconds: dict[str, float] = {}

    @contextmanager
    def step(self, name: str, title: str) -> Iterator[Callable[[float, float], None]]:
        """One step; yields what moves its bar: done, of how many."""
        task = self.progress.add_task(title, total=None)
        began = time.monotonic()
        yield lambda done, total: self.progress.update(task, completed=done, total=total)
        self.seconds[name] = round(time.monotonic() - began, 2)
        self.progress.update(task, completed=1, total=1)


def run(settings: Settings, options: Options, console: Console) -> dict[str, Any]:
    """Runs the main job and returns its figures; with `options.serve` stays up until Ctrl-C.

    Raises ConfigurationError where the place or a port is not free, Unavailable where a part does not come up.
    """
    with ExitStack() as stack:
        cleared = stack.enter_context(place.claimed(settings.data_dir))
        ports = {"--smtp-port": options.smtp_port, "--providers-port": options.providers_port}
        place.check_ports({"--port": settings.port, "--engine-port": settings.engine_port, **ports})
        console.print(f"Data: {CITATION}. Contact data, visits and reactions are synthetic.")
        console.print(f"Data directory: {settings.data_dir}" + (", cleared of an earlier run" if cleared else ""))
        began = time.monotonic()
        with _progress(console) as progress:
            demo = Demo(settings, options, Steps(progress), stack)
            found = demo.play()
        found["seconds"]["total"] = round(time.monotonic() - began, 2)
        if options.json_file is not None:
            options.json_file.write_text(json.dumps(found, indent=1) + "\n")
        report.show(console, found)
        if options.json_file is not None:
            console.print(f"Figures written to {options.json_file}")
        if options.serve:
            key = serve.first_key(demo.settings)
            console.print(f"\nOneVoice is at {settings.base_url}/?key={key}", soft_wrap=True)
            console.print(f"API document: {settings.base_url}/docs    Stop with Ctrl-C")
            demo.stay()
        return found


def _further(advance: Callable[[float, float], None], done: int, total: int, share: float) -> None:
    """Moves a bar of several parts by the share that is done of the next one."""
    advance(done + share, total)


def _written(advance: Callable[[float], None], phase: str, done: int, total: int) -> None:
    """An import's progress, of which writing is most."""
    if phase == "writing":
        advance(done / max(total, 1))


def _progress(console: Console) -> Progress:
    bars = (TextColumn("{task.description:<44}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    return Progress(*bars, console=console)


class Demo:
    """The parts that run, from `play` on until the stack they are on is closed."""

    def __init__(self, settings: Settings, options: Options, steps: Steps, stack: ExitStack) -> None:
        self.options, self.steps, self.stack = options, steps, stack
        clock_file = settings.data_dir.resolve() / "clock"
        self.clock = SharedClock(clock_file, END)
        self.doubles = Doubles(
            base_url=settings.base_url,
            smtp_port=options.smtp_port,
            providers_port=options.providers_port,
            clock=self.clock,
            seed=synthetic.SEED,
        )
        self.settings = replace(settings, clock_file=str(clock_file), channels=self.doubles.channels())
        self.children: dict[Role, subprocess.Popen[bytes]] = {}
        self.households: list[Household] = retailer.households(options.households)
        self.people: dict[int, Person] = {one.id: synthetic.person(one) for one in self.households}

    def play(self) -> dict[str, Any]:
        """All the steps in order; returns the figures."""
        step = self.steps.step
        with step("start", "Starting PostgreSQL, DuckDB and the roles"):
            self._start()
        with step("prepare", "Preparing the retailer's files"):
            history = retailer.prepare(self.settings.data_dir / "import", self.options.households)
        with step("import", "Importing customers, orders, products, events") as advance:
            keys = self._import(history, advance)
        with step("load", "Loading: identities, orders, profiles") as advance:
            self._load(advance)
        with step("segments", "Saving segments, templates and the journey"):
            self._apply()
            found = report.history(self.engine, self.clock.now())
        self._await_api()
        with step("simulate", f"Simulating {self.options.days:g} days of the journey") as advance:
            played = self._simulate(keys, advance)
        with step("report", "Asking for the figures"):
            found |= report.results(self.engine, self.clock.now())
            found |= report.delivery(self.engine, self.doubles.received())
        return {**found, "played": asdict(played), "seconds": self.steps.seconds}

    def stay(self) -> None:
        """Goes on as a server, the simulated clock at the speed of the real one, until SIGINT or SIGTERM."""
        stopping: list[int] = []

        def stop(number: int, _frame: FrameType | None) -> None:
            stopping.append(number)

        signal.signal(signal.SIGINT, stop)
        signal.signal(signal.SIGTERM, stop)
        before = time.monotonic()
        while not stopping:
            time.sleep(PAUSE_SECONDS)
            self._check_children()
            elapsed, before = time.monotonic() - before, time.monotonic()
            self.clock.move(self.clock.now() + timedelta(seconds=elapsed))
            self.engine.step(self.clock.now())

    # -- the parts

    def _start(self) -> None:
        self.settings = serve.prepared(self.settings)
        self.stack.enter_context(self.doubles)
        self.engine = Engine(self.settings)
        self.stack.callback(self.engine.close)
        server = answers.serve(self.engine)
        self.stack.callback(server.stop)
        self.stack.callback(lambda: serve.stop_all(list(self.children.values())))
        for role in (Role.API, Role.DELIVER):
            self.children[role] = serve.spawn(role, self.settings)

    def _await_api(self) -> None:
        """Returns when the api answers; it has had the time of the import to come up."""
        deadline = time.monotonic() + READY_SECONDS
        with httpx.Client(timeout=5.0) as http:
            while not self._answers(http):
                self._check_children()
                if time.monotonic() > deadline:
                    raise Unavailable(f"The api does not answer at {self.settings.base_url}; its log is above")
                time.sleep(0.1)

    def _answers(self, http: httpx.Client) -> bool:
        try:
            return http.get(f"{self.settings.base_url}/docs").is_success
        except httpx.TransportError:
            return False

    def _check_children(self) -> None:
        for role, child in self.children.items():
            if child.poll() is not None:
                raise Unavailable(f"The {role.value} role ended with status {child.returncode}; its log is above")

    # -- the steps

    def _import(self, history: retailer.History, advance: Callable[[float, float], None]) -> dict[str, str]:
        """All files and all synthetic events into the inbox; returns each source's write key."""
        with self.engine.database.begin() as connection:
            made = {name: sources.ensure(connection, name, kind) for name, kind in synthetic.SOURCES.items()}
        files = (
            ("products", history.products),
            ("customers", history.households),
            ("orders", history.order_lines),
            ("events", history.campaigns),
            ("events", history.redemptions),
        )
        for number, (kind, file) in enumerate(files):
            self._import_file(kind, file, made["till"], partial(_further, advance, number, len(files) + 1))
        ids = {name: source.id for name, source in made.items()}
        events = synthetic.events(self.households, self.people)
        with self.engine.database.begin() as connection:
            synthetic.enter(connection, events, ids, END)
            consent.record(connection, self._consents(), END, ids["till"])
            suppression.suppress(connection, self.settings.secret(), synthetic.suppressed(self.people.values()), END)
        return {name: source.write_key for name, source in made.items()}

    def _import_file(self, kind: str, file: Path, source: Source, advance: Callable[[float], None]) -> None:
        report = importing.import_file(self.engine.database, kind, source, file, None, END, partial(_written, advance))
        if report.bad_rows:
            raise Unavailable(f"{file.name}: {report.bad_rows} rows were not taken, the first: {report.bad[0]}")

    def _consents(self) -> Iterator[Consent]:
        for who in self.people.values():
            for channel, state in who.consents.items():
                yield Consent(
                    identifier_id=identifier_id(CARD, str(who.household)),
                    channel=channel,
                    topic=synthetic.TOPIC,
                    state=state,
                    occurred_at=who.since,
                    origin="import",
                    evidence={"synthetic": True},
                    namespace=CARD,
                    value=str(who.household),
                )

    def _load(self, advance: Callable[[float, float], None]) -> None:
        with self.engine.database.connect() as connection:
            total, _ = Backlog().look(connection)
        done = 0
        while taken := load(self.engine.warehouse, self.engine.database, self.engine.secret):
            done += taken
            advance(done, total)

    def _apply(self) -> None:
        """What a marketer would do with `onevoice apply`; then the segments as they stand."""
        with self.engine.database.begin() as connection:
            applying.apply(connection, WINBACK, self.clock)
            saved = segments.all_segments(connection)
        self.engine.refresher.all(saved, self.clock.now())

    def _simulate(self, keys: dict[str, str], advance: Callable[[float, float], None]) -> Played:
        days = self.options.days
        end = END + timedelta(days=days)
        simulation = Simulation(
            self.engine,
            self.clock,
            Mailboxes(self.doubles, self.settings.base_url),
            list(self.people.values()),
            retailer.usual_purchases(self.options.households, end - DORMANT),
            keys,
        )
        last_orders = {one.id: one.last_at for one in self.households}
        return simulation.run(days, last_orders, lambda at: advance((at - END) / timedelta(days=1), days))
