"""What can be chosen on the command line."""

from enum import StrEnum


class Role(StrEnum):
    """What a process does."""

    API = "api"
    ENGINE = "engine"
    DELIVER = "deliver"


class ImportKind(StrEnum):
    """What a file to import holds."""

    CUSTOMERS = "customers"
    ORDERS = "orders"
    PRODUCTS = "products"
    EVENTS = "events"
    REFUNDS = "refunds"
    CONSENTS = "consents"
    SUPPRESSION = "suppression"


class ExportKind(StrEnum):
    """What can be exported."""

    CUSTOMERS = "customers"
    SEGMENT = "segment"
    EVENTS = "events"
    ORDERS = "orders"


class ExportFormat(StrEnum):
    """As what."""

    PARQUET = "parquet"
    CSV = "csv"


class KnownAs(StrEnum):
    """How a back-test knows people: as they were known at the time, or as they are today."""

    THEN = "then"
    TODAY = "today"
