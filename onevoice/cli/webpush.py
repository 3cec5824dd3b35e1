"""`onevoice webpush`: the keys that sign web push."""

import typer

from onevoice.cli.options import group

app = group("Web push.")


@app.callback()
def _group() -> None:
    """Keeps `keys` a command of the group, though it is the only one."""


@app.command("keys", help="Make the keys that sign web push, for onevoice.toml and the shop's page.")
def keys() -> None:
    """A new key ends all subscriptions made with the old one."""
    from base64 import urlsafe_b64encode

    from cryptography.hazmat.primitives.asymmetric import ec

    from onevoice.channels.webpush import public_key

    number = ec.generate_private_key(ec.SECP256R1()).private_numbers().private_value
    private = urlsafe_b64encode(number.to_bytes(32, "big")).rstrip(b"=").decode()
    typer.echo(f'[channels.webpush]\nadapter = "webpush"\nprivate_key = "{private}"\n')
    typer.echo(f'For the page: applicationServerKey = "{public_key(private)}"')
