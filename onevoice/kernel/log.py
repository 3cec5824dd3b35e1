"""One way to log: structlog, key=value, to standard error."""

import logging
import sys
from typing import Any

import structlog


def configure(level: str = "info") -> None:
    """Sets up logging for a process; `level` is debug, info, warning or error."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info,
            structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"]),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=lambda *_names: _StandardError(),
    )


class _StandardError:
    """Writes to what standard error is when something is logged, not to what it was when logging was set up."""

    def msg(self, message: str) -> None:
        sys.stderr.write(message + "\n")
        sys.stderr.flush()

    log = debug = info = warn = warning = error = critical = exception = fatal = msg


def logger(name: str) -> Any:  # structlog's bound loggers are dynamic by design
    """A logger that stamps `part=name` on each line."""
    return structlog.get_logger(part=name)
