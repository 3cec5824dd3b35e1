"""`onevoice mail`: keys that sign e-mail, and e-mail that comes back."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from onevoice.cli.options import AsJson, DataDir, group, settings, show
from onevoice.kernel.errors import InvalidInput

app = group("E-mail: keys that sign it, and what comes back.")

TRY_AGAIN = 75
"""EX_TEMPFAIL of sysexits.h: the mail server keeps the message and tries again."""


@app.command("receive", help="Take in an e-mail from standard input: a bounce, a complaint, an answer.")
def receive(
    recipient: Annotated[
        str, typer.Option(help="The address it was delivered to (Postfix: ${original_recipient})")
    ] = "",
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """For a mail server's pipe: see docs/how-to/e-mail.md. Ends with 75 where it must be tried again."""
    from sqlalchemy.exc import OperationalError

    from onevoice import database
    from onevoice.delivery import mailbox
    from onevoice.kernel.errors import OneVoiceError

    raw = sys.stdin.buffer.read()
    try:
        found = settings(data_dir)
        with database.opened(found) as pool, pool.begin() as connection:
            done = mailbox.receive(connection, found.secret(), raw, found.clock().now(), recipient)
    except (OneVoiceError, OperationalError, OSError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(TRY_AGAIN) from error
    show([vars(done)], ("what", "message_id", "status"), "Received", as_json)


@app.command("collect", help="Take in what lies new in a Maildir; what was taken is marked as read.")
def collect(
    maildir: Annotated[Path, typer.Argument(help="The folder with cur, new and tmp", exists=True, file_okay=False)],
    every: Annotated[float, typer.Option(help="Look again after so many seconds, until it is stopped; 0: once")] = 0.0,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """What cannot be taken in now stays new. A mailbox behind IMAP gets there by fetchmail or mbsync."""
    import time

    from onevoice import database
    from onevoice.delivery import mailbox

    found = settings(data_dir)
    with database.opened(found) as pool:
        while True:
            with typer.progressbar(length=mailbox.new_in(maildir), label="Reading", file=sys.stderr) as bar:
                counts = mailbox.collect(pool, found.secret(), maildir, found.clock().now, lambda: bar.update(1))
            if counts or not every:
                show(
                    [{"what": what, "mails": count} for what, count in counts.items()],
                    ("what", "mails"),
                    "Read",
                    as_json,
                )
            if not every:
                return
            time.sleep(every)


@app.command("keys", help="Make a key that signs e-mail (DKIM) and print the DNS record to publish.")
def keys(
    selector: Annotated[str, typer.Argument(help="A name for the key, such as s2026")],
    domain: Annotated[str, typer.Argument(help="The domain that mail is sent from")],
    file: Annotated[Path | None, typer.Option(help="Where to keep the key (default: SELECTOR.pem)")] = None,
    kind: Annotated[str, typer.Option(help="rsa, which everybody reads, or ed25519 beside it")] = "rsa",
) -> None:
    """An existing file is not written over."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

    from onevoice.channels.dkim import record

    path = file or Path(f"{selector}.pem")
    if path.exists():
        raise InvalidInput(f"{path} exists; name another file, or remove it")
    if kind not in ("rsa", "ed25519"):
        raise InvalidInput(f"The kind of key is {kind!r}; use rsa or ed25519")
    made = rsa.generate_private_key(65537, 2048) if kind == "rsa" else ed25519.Ed25519PrivateKey.generate()
    written = made.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.touch(0o600)
    path.write_bytes(written)
    text = record(written)
    parts = " ".join(f'"{text[start : start + 250]}"' for start in range(0, len(text), 250))
    typer.echo(f"{selector}._domainkey.{domain}. TXT {parts}")
    typer.echo(f'\nonevoice.toml:\n[channels.email.dkim]\n{selector} = "{path}"', err=True)
