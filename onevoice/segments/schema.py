"""The condition tree as JSON Schema (2020-12), for editors and clients, made from the kinds themselves."""

from typing import Any

import msgspec

from onevoice.segments.conditions import KINDS
from onevoice.segments.conditions.kind import AnyKind

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def tree_schema() -> dict[str, Any]:
    """The schema of what a segment's `where` may hold."""
    _, structs = msgspec.json.schema_components([kind.asked for kind in KINDS], ref_template="#/$defs/{name}")
    condition = {"$ref": "#/$defs/condition"}
    several = {"type": "array", "minItems": 1, "items": condition}
    choices = {
        "all": {**several, "description": "Every one of them."},
        "any": {**several, "description": "At least one of them."},
        "not": {**condition, "description": "Everybody else."},
        **{kind.name: _parameters(kind) for kind in KINDS},
    }
    one_key = {
        "type": "object",
        "minProperties": 1,
        "maxProperties": 1,
        "additionalProperties": False,
        "properties": choices,
    }
    return {"$schema": DIALECT, "title": "Condition", **condition, "$defs": {**structs, "condition": one_key}}


def _parameters(kind: AnyKind) -> dict[str, Any]:
    """A kind's parameters, with those that exclude each other."""
    found: dict[str, Any] = {"$ref": f"#/$defs/{kind.asked.__name__}"}
    if kind.one_of:
        given = [{"required": [name], "properties": {name: {"not": {"type": "null"}}}} for name in kind.one_of]
        none_of_them: list[dict[str, Any]] = [] if kind.needs_one else [{"not": {"anyOf": given}}]
        found["oneOf"] = [*given, *none_of_them]
    return found
