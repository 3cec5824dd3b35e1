"""Sending: personalised e-mails from the queue through the workers to Postfix's smtp-sink, each settled durably.

The yardstick is Postfix's smtp-source, written in C, which sends one and the same text of that size to the same sink.
"""

import multiprocessing
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg

from benchmarks.result import Result
from onevoice import database
from onevoice.channels.adapter import OutboundMessage
from onevoice.channels.smtp import SmtpAdapter
from onevoice.content import rendering, templates
from onevoice.customers import consent
from onevoice.customers.consent import Consent
from onevoice.database.inbox import Kind
from onevoice.delivery import queue, worker
from onevoice.delivery.links import LinkMaker
from onevoice.delivery.schemas import QueuedMessage
from onevoice.kernel.ids import fact_id
from onevoice.kernel.log import configure
from onevoice.kernel.settings import Settings

SIZE = 100_000
"""Messages."""

WORKERS = 2
CONNECTIONS = 20
IN_FLIGHT = 1_000
PRODUCTS = 14  # linked in each message; six more links are the same for all


def run(size: int) -> list[Result]:
    """Sends `size` messages, then lets smtp-source send as many of the same size."""
    if not (shutil.which("smtp-sink") and shutil.which("smtp-source")):
        raise SystemExit("smtp-sink and smtp-source are missing; install Postfix (apt install postfix)")
    with ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        port = stack.enter_context(_sink())
        url = stack.enter_context(_fresh_database(place))
        settings = Settings(
            data_dir=place,
            database_url=url,
            public_url="https://news.cornermarket.example",
            in_flight=IN_FLIGHT // WORKERS,
            channels={
                "email": {
                    "adapter": "smtp",
                    "host": "127.0.0.1",
                    "port": port,
                    "sender": "hello@cornermarket.example",
                    "sender_name": "Corner Market",
                    "connections": CONNECTIONS // WORKERS,
                }
            },
        )
        _fill(settings, size)
        bytes_each = _bytes_each(settings)
        seconds = _sent(settings, size)
        yardstick = _smtp_source(port, size, bytes_each)
    return [
        Result(
            "send",
            f"{size:,} personalised e-mails of {bytes_each / 1000:.1f} kB with {PRODUCTS + 6} tracked links, "
            f"{WORKERS} workers, {CONNECTIONS} connections, at most {IN_FLIGHT:,} in flight",
            size / seconds,
            "messages/s",
            f"smtp-source -d -s {CONNECTIONS}, same sink, same size",
            yardstick,
            ("psycopg", "python-liquid", "uvloop"),
        )
    ]


@contextmanager
def _sink() -> Iterator[int]:
    """Postfix's smtp-sink on a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    sink = subprocess.Popen(
        ["smtp-sink", "-u", "nobody", f"127.0.0.1:{port}", "1000"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield port
    finally:
        sink.kill()
        sink.wait()


@contextmanager
def _fresh_database(place: Path) -> Iterator[str]:
    """A migrated database of its own, on the embedded server."""
    url = database.url(Settings(data_dir=place))
    database.migrate(Settings(data_dir=place, database_url=url))
    yield url


def _fill(settings: Settings, size: int) -> None:
    now = datetime.now(UTC)
    pool = database.engine(settings)
    with pool.begin() as connection:
        templates.save(connection, _template(), now, Path())
        messages = [_message(number, now) for number in range(size)]
        granted_at = now - timedelta(days=1)
        granted = (Consent(m.identifier_id, m.channel, m.topic, "granted", granted_at, "form") for m in messages)
        consent.record(connection, granted, now)
        queue.enqueue(connection, map(queue.line, messages), 1)
    with pool.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("VACUUM ANALYZE message")
        connection.exec_driver_sql("VACUUM ANALYZE consent_ledger")
        connection.exec_driver_sql("CHECKPOINT")
    pool.dispose()


_WAITS = """
SELECT 1 FROM message WHERE state = 'queued' AND channel = 'email'
UNION ALL SELECT 1 FROM message WHERE state = 'sending' LIMIT 1
"""
"""Asked of the indexes, so that asking takes no time of those who send."""


def _sent(settings: Settings, size: int) -> float:
    """Runs the workers until all is settled; the seconds it took, their start included."""
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_work, args=(settings,)) for _ in range(WORKERS)]
    began = time.perf_counter()
    for process in workers:
        process.start()
    with psycopg.connect(settings.database_url, autocommit=True) as connection:
        while all(process.is_alive() for process in workers) and connection.execute(_WAITS).fetchone():
            time.sleep(0.1)
        seconds = time.perf_counter() - began
        ((state, settled),) = connection.execute("SELECT state, count(*) FROM message GROUP BY state").fetchall()
        (told,) = connection.execute(
            "SELECT coalesce(sum(calls), 0) FROM inbox WHERE kind = %s", (Kind.MESSAGE,)
        ).fetchone() or (0,)
    for process in workers:
        process.terminate()
    for process in workers:
        process.join()
    if (state, settled, told) != ("accepted", size, size):
        raise SystemExit(f"Not all was sent and recorded: {settled:,} {state}, {told:,} in the inbox")
    return seconds


def _bytes_each(settings: Settings) -> float:
    """The size of a message as it goes over the wire, the mean of a few."""
    pool = database.engine(settings)
    with pool.connect() as connection:
        template = templates.find(connection, "benchmark", 1, "it", "email")
    pool.dispose()
    links = LinkMaker(settings.secret(), settings.base_url)
    adapter = SmtpAdapter(**{k: v for k, v in settings.channels["email"].items() if k != "adapter"})
    sizes = []
    for number in range(0, 1_000, 50):
        message = _message(number, datetime.now(UTC))
        content = rendering.render(template, message.variables, links.of_message(number))
        sizes.append(len(adapter.encoded(OutboundMessage(message.message_id, "email", message.address, content))))
        assert content["html"].count(f"{settings.base_url}/c/") == PRODUCTS + 6
    return sum(sizes) / len(sizes)


def _work(settings: Settings) -> None:
    configure("warning")
    worker.run(settings)


def _smtp_source(port: int, size: int, bytes_each: float) -> float:
    began = time.perf_counter()
    subprocess.run(
        [
            *("smtp-source", "-d", "-s", str(CONNECTIONS), "-m", str(size), "-l", str(round(bytes_each))),
            *("-f", "hello@cornermarket.example", "-t", "customer@example.com", f"127.0.0.1:{port}"),
        ],
        check=True,
    )
    return size / (time.perf_counter() - began)


_MJML = """
<mjml lang="it"><mj-body background-color="#f4efe4">
<mj-section background-color="#ffffff"><mj-column>
<mj-text font-size="28px"><a href="{shop}/">Corner Market</a></mj-text>
<mj-text font-size="26px">{{{{ customer.first_name | default: "Ciao" }}}}, il tuo cestino ti aspetta</mj-text>
<mj-text>È passato un po’ di tempo dalla tua ultima spesa. Gli scaffali sono di nuovo pieni{{% if
customer.favourite_category %}}, soprattutto di {{{{ customer.favourite_category | downcase }}}}{{% endif %}}.</mj-text>
<mj-text>{{% for product in customer.products %}}<p><a href="{shop}/products/{{{{ product.product_id }}}}">{{{{
product.name }}}}</a>, solo per te a € {{{{ product.price }}}}</p>{{% endfor %}}</mj-text>
<mj-text><a href="{shop}/offers">Offerte</a> <a href="{shop}/recipes">Ricette</a> <a href="{shop}/stores">Negozi</a>
<a href="{shop}/card">La tua carta</a></mj-text>
<mj-button href="{shop}/offers?coupon=COMEBACK20" background-color="#c2410c">Usa il mio buono</mj-button>
<mj-text font-size="12px">Ricevi questo messaggio perché hai accettato le nostre offerte.
<a href="{{{{ unsubscribe_url }}}}">Annulla l’iscrizione</a></mj-text>
</mj-column></mj-section>
</mj-body></mjml>
"""


def _template() -> dict[str, object]:
    mjml = _MJML.format(shop="https://cornermarket.example")
    subject = "{{ customer.first_name }}, c’è un regalo per te"
    return {
        "kind": "template",
        "name": "benchmark",
        "channel": "email",
        "locales": {"it": {"subject": subject, "preheader": "20 % di sconto", "mjml": mjml}},
    }


def _message(number: int, now: datetime) -> QueuedMessage:
    """Each customer has their own name and their own fourteen of a thousand products."""
    products = [
        {
            "product_id": str(100_000 + (number * 31 + index * 71) % 1_000),
            "name": f"Prodotto preferito {(number + index) % 1_000}",
            "price": f"{(number + index) % 30},99",
        }
        for index in range(PRODUCTS)
    ]
    names = {"first_name": f"Nicolò {number}", "favourite_category": "Frutta & verdura"}
    return QueuedMessage(
        message_id=str(fact_id("benchmark", number)),
        journey="benchmark",
        step="send",
        channel="email",
        identifier_id=number,
        address=f"customer{number}@example.com",
        template="benchmark",
        template_version=1,
        locale="it",
        topic="offers",
        variables={"customer": {**names, "products": products}},
        not_before=now,
        expires_at=now + timedelta(days=1),
    )
