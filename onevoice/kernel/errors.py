"""The tree of errors a user can meet: each with a code, a sentence that says what to do, and an HTTP status.

Raised where the fact is known; turned into a response in `onevoice.api`, into a message in `onevoice.cli`.
"""


class OneVoiceError(Exception):
    """The root: `code` for programs, the message for people."""

    code = "error"
    status = 500

    def __init__(self, message: str, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.retry_after = retry_after  # seconds


class ConfigurationError(OneVoiceError):
    """A setting is missing or wrong; says which one and what it should be."""

    code = "configuration"


class InvalidInput(OneVoiceError):
    """What was handed in cannot be taken; says where and why."""

    code = "invalid_input"
    status = 400


class Unauthorized(OneVoiceError):
    """No key, or one that is not known."""

    code = "unauthorized"
    status = 401


class NotFound(OneVoiceError):
    """There is no such thing."""

    code = "not_found"
    status = 404


class Conflict(OneVoiceError):
    """It cannot be done in the state things are in."""

    code = "conflict"
    status = 409


class TooLarge(OneVoiceError):
    """Over a documented limit."""

    code = "too_large"
    status = 413


class TooMany(OneVoiceError):
    """More than can be taken for now; `retry_after` says when to come again."""

    code = "too_many_requests"
    status = 429


class Unavailable(OneVoiceError):
    """A part is down or full for now; try again."""

    code = "unavailable"
    status = 503

    def __init__(self, message: str, retry_after: int = 1) -> None:
        super().__init__(message, retry_after)
