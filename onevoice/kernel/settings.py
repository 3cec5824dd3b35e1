"""The one settings object: defaults, then one TOML file, then `ONEVOICE_*` variables; checked at start.

Channels are tables of the TOML file (`[channels.email]`, adapter = "smtp", ...) or JSON in `ONEVOICE_CHANNELS`; the
rules of identity and the throttles of delivery likewise (`[identity]`, `ONEVOICE_IDENTITY`, `[throttles]`). A list is a
list there, and JSON in its variable.
"""

import os
import secrets
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import msgspec

from onevoice.kernel.clock import Clock, SharedClock, SystemClock
from onevoice.kernel.errors import ConfigurationError

TABLES = ("channels", "identity", "stores", "throttles", "import_from", "machine_networks")
"""Settings that are tables or lists of the file, and JSON in the environment."""


@dataclass(frozen=True)
class Settings:
    """All that can be set. Durations are in the unit their name says."""

    data_dir: Path = Path("data")
    database_url: str = ""  # empty: the embedded PostgreSQL in data_dir
    warehouse_url: str = ""  # empty: duckdb:// in data_dir
    warehouse_memory_mb: int = 350  # what DuckDB may hold in memory; beyond that it works on disk
    host: str = "127.0.0.1"
    port: int = 8080
    engine_port: int = 8081  # the engine answers the api here, on 127.0.0.1
    public_url: str = ""  # where customers reach tracking links; empty: http://host:port
    clock_file: str = ""  # a simulated clock shared by all roles (kernel.clock.SharedClock); empty: real time
    log_level: str = "info"
    engine_interval_seconds: float = 0.5  # longest pause between two steps; what comes in ends it
    inbox_limit_mb: int = 8_192  # stored bytes that may wait for the engine; beyond that callers get a 429
    disk_reserve_mb: int = 1_024  # of data_dir's disk, kept free; below that callers get a 429
    in_flight: int = 100  # messages a delivery worker has attempted and not yet settled, at most
    lease_seconds: float = 60.0  # a worker unheard of for so long has lost its messages
    stores: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # options of object stores: s3, gs, az
    import_from: tuple[str, ...] = ()  # what URLs the api may be told to import from begin with; empty: none
    import_private: bool = False  # whether such a host may have an address of the private network
    channels: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    throttles: Mapping[str, Any] = field(default_factory=dict)  # messages a second; see delivery/throttles.py
    machine_networks: tuple[str, ...] = ()  # whoever opens or clicks from there is a machine: 203.0.113.0/24
    identity: Mapping[str, Any] = field(default_factory=dict)  # what overrides customers/identifiers.py

    @property
    def base_url(self) -> str:
        """Where customers' links lead, without a trailing slash."""
        return (self.public_url or f"http://{self.host}:{self.port}").rstrip("/")

    @property
    def warehouse(self) -> str:
        """The warehouse's URL, the default filled in."""
        return self.warehouse_url or f"duckdb://{(self.data_dir / 'warehouse.duckdb').resolve()}"

    def clock(self) -> Clock:
        """The clock this process must use."""
        return SharedClock(Path(self.clock_file)) if self.clock_file else SystemClock()

    def secret(self) -> bytes:
        """32 bytes that sign tracking links and salt address hashes; made once, kept in data_dir/secret."""
        path = self.data_dir / "secret"
        try:
            text = path.read_text().strip()
        except FileNotFoundError:
            self.data_dir.mkdir(parents=True, exist_ok=True)
            made = secrets.token_hex(32)
            try:
                with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                    file.write(made)
                text = made
            except FileExistsError:  # another role was faster
                text = path.read_text().strip()
        try:
            return bytes.fromhex(text)
        except ValueError as error:
            raise ConfigurationError(f"{path} is not hexadecimal; restore it from a backup, or delete it") from error


def load(environment: Mapping[str, str] | None = None, **overrides: Any) -> Settings:
    """Settings from `onevoice.toml` (or the file `ONEVOICE_CONFIG` names), the environment, then `overrides`.

    Raises ConfigurationError with the name of the setting and what it should be.
    """
    environment = os.environ if environment is None else environment
    values: dict[str, Any] = {}
    explicit = environment.get("ONEVOICE_CONFIG")
    file = Path(explicit or "onevoice.toml")
    if file.exists():
        try:
            values.update(tomllib.loads(file.read_text()))
        except tomllib.TOMLDecodeError as error:
            raise ConfigurationError(f"{file} is not valid TOML: {error}") from error
    elif explicit:
        raise ConfigurationError(f"ONEVOICE_CONFIG names {file}, which does not exist")
    known = {f.name for f in fields(Settings)}
    for name, text in environment.items():
        key = name.removeprefix("ONEVOICE_").lower()
        if not name.startswith("ONEVOICE_") or key in {"config", "secret"}:
            continue
        if key not in known:
            raise ConfigurationError(f"{name} is not a setting; known are {_names(known)}")
        values[key] = msgspec.json.decode(text) if key in TABLES and text else text
    unknown = set(values) - known
    if unknown:
        raise ConfigurationError(f"{file}: unknown {_names(unknown)}; known are {_names(known)}")
    values.update({k: v for k, v in overrides.items() if v is not None})
    try:
        settings = msgspec.convert(values, Settings, strict=False, dec_hook=_decode)
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"Wrong setting: {error}. Set it in {file} or as ONEVOICE_<NAME>") from error
    for name in ("port", "engine_port"):
        if not 0 < getattr(settings, name) < 65536:
            raise ConfigurationError(f"{name} is {getattr(settings, name)}; use a port from 1 to 65535")
    if settings.in_flight < 1 or settings.lease_seconds <= 0 or settings.engine_interval_seconds <= 0:
        raise ConfigurationError("in_flight, lease_seconds and engine_interval_seconds must be above zero")
    for start in settings.import_from:
        if "://" not in start:
            raise ConfigurationError(
                f"import_from has {start!r}; use beginnings of URLs, such as s3://BUCKET/ or https://HOST/"
            )
    if settings.warehouse_memory_mb < 100:
        raise ConfigurationError(f"warehouse_memory_mb is {settings.warehouse_memory_mb}; use 100 or more")
    return replace(settings, data_dir=settings.data_dir.expanduser())


def as_environment(settings: Settings) -> dict[str, str]:
    """The `ONEVOICE_*` variables that give a child process the same settings."""
    return {
        f"ONEVOICE_{f.name.upper()}": msgspec.json.encode(value).decode() if f.name in TABLES else str(value)
        for f in fields(settings)
        if (value := getattr(settings, f.name)) not in ("", {}, ())
    }


def _decode(kind: type, value: Any) -> Any:
    if kind is Path:
        return Path(str(value))
    raise NotImplementedError(kind)


def _names(names: set[str]) -> str:
    return ", ".join(sorted(names))
