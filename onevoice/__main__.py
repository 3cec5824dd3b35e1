"""The program: the command line with the demo's command added, errors said in one line."""

import sys

from onevoice.cli.main import app
from onevoice.demo.command import demo
from onevoice.kernel.errors import OneVoiceError

app.command(
    "demo", help="Show the main job on a real retailer's year: data, identities, segments, a journey, results."
)(demo)


def main() -> None:
    """Runs the command; an error a user can meet is one line on standard error and exit status 1."""
    try:
        app()
    except OneVoiceError as error:
        print(f"onevoice: {error.message}", file=sys.stderr)  # noqa: T201 - the program's last word
        sys.exit(1)


if __name__ == "__main__":
    main()
