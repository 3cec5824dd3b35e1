"""The command `onevoice demo`."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from onevoice.kernel import log
from onevoice.kernel.settings import load

DATA_DIR = Path("data") / "demo"


def demo(
    no_serve: Annotated[bool, typer.Option("--no-serve", help="Exit at the end instead of staying up")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the figures to this file")] = None,
    data_dir: Annotated[Path, typer.Option(help="Its own directory; cleared at the next start")] = DATA_DIR,
    port: Annotated[int, typer.Option(help="Port of the api and the page")] = 8080,
    engine_port: Annotated[int, typer.Option(help="Port on which the engine answers the api")] = 8081,
    smtp_port: Annotated[int, typer.Option(help="Port of the SMTP sink")] = 8025,
    providers_port: Annotated[int, typer.Option(help="Port of the double of the push and SMS providers")] = 8026,
    days: Annotated[float, typer.Option(min=1, help="Simulated days after the data's end")] = 14.0,
    households: Annotated[int | None, typer.Option(min=30, help="Take fewer households, to be faster")] = None,
) -> None:
    """Runs the main job. Uses an embedded PostgreSQL whatever ONEVOICE_DATABASE_URL says: it writes to nothing else."""
    from onevoice.demo import script  # only here, so that the other commands do not pay for it

    settings = load(
        data_dir=data_dir,
        database_url="",
        warehouse_url="",
        host="127.0.0.1",
        public_url="",
        clock_file="",
        log_level="warning",
        port=port,
        engine_port=engine_port,
    )
    log.configure(settings.log_level)
    options = script.Options(
        serve=not no_serve,
        json_file=json_file,
        days=days,
        households=households,
        smtp_port=smtp_port,
        providers_port=providers_port,
    )
    script.run(settings, options, Console())
