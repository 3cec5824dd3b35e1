"""Warehouse tables of the customers.

A fact keeps the identifier it came with (`identifier_id`, never changed) and beside it `customer_id`, a projection
through `identifiers` that is written anew when links come or go. A customer's id is the id of the first of its
identifiers (see `identity.py`), so a fact made about a customer carries that id as its identifier.
"""

from onevoice.warehouse import Facts

IDENTITY_LINKS = Facts(
    "identity_links",  # one row per pair, kind, trust and source: the first event that said so
    {
        "link_id": "!string",  # fact_id of all that the row is one per
        "left_id": "!int64",
        "right_id": "!int64",
        "kind": "!string",  # identify (anonymous id seen with a user id), external (context.externalIds), alias
        "trust": "!string",  # proven, claimed, device
        "source_id": "!int64",
        "event_id": "!string",
        "linked_at": "!timestamp(6)",
    },
    ("left_id",),
)

IDENTIFIERS = Facts(
    "identifiers",
    {
        "identifier_id": "!int64",
        "namespace": "!string",  # user_id, anonymous_id, loyalty_card, ...
        "value": "!string",
        "customer_id": "!int64",
        "first_seen_at": "!timestamp(6)",
        "revision": "!int64",  # the load that wrote the row; publication to the database follows it
        # What the links say beside the customer, kept so that a new link asks about its neighbours alone (identity.py):
        "cluster_id": "int64",  # the smallest identifier it is linked to at all, links that a limit refuses included
        "same_id": "int64",  # the smallest identifier that decisions and proven aliases make one with it
        "is_shared": "boolean",  # seen with so many that it joins nobody
    },
    ("identifier_id",),
)

IDENTITY_DECISIONS = Facts(
    "identity_decisions",  # what people decided; the newest about a pair counts, one that was undone does not
    {
        "decision_id": "!string",
        "action": "!string",  # merge, part (never one customer), block (joins nobody), undo
        "identifier_id": "!int64",
        "other_id": "!int64",  # 0 for block
        "undoes": "!string",  # the decision undone; empty for the others
        "person": "!string",
        "note": "!string",
        "decided_at": "!timestamp(6)",
    },
    ("identifier_id",),
)

IDENTITY_WARNINGS = Facts(
    "identity_warnings",  # every link that does not join, and why: a projection like the customers themselves
    {
        "rule": "!string",  # limit, size, apart, unproven; shared, blocked (of one identifier, not of a link)
        "namespace": "!string",  # whose rule
        "identifier_id": "!int64",
        "other_id": "!int64",  # 0 where it is about one identifier
        "source_id": "!int64",
        "event_id": "!string",
        "occurred_at": "!timestamp(6)",
        "value": "string",  # of a blocked value, which is no identifier
    },
    ("identifier_id",),
)

TRAITS = Facts(
    "traits",  # the newest value by event time, per identifier and name
    {
        "identifier_id": "!int64",
        "customer_id": "!int64",
        "name": "!string",
        "value": "string",  # JSON; null: the trait was deleted
        "occurred_at": "!timestamp(6)",
        "event_id": "!string",
    },
    ("identifier_id", "name"),
)

PROFILES = Facts(
    "profiles",  # one row per customer, made from traits
    {
        "customer_id": "!int64",
        "first_name": "string",
        "last_name": "string",
        "locale": "!string",  # one of kernel.locales
        "time_zone": "!string",  # IANA name
        "country": "string",  # ISO 3166 alpha-2
        "traits": "!string",  # JSON object of all current traits
        "first_seen_at": "!timestamp(6)",
    },
    ("customer_id",),
)

ADDRESSES = Facts(
    "addresses",  # where a customer can be reached: the newest address per customer and channel
    {
        "customer_id": "!int64",
        "channel": "!string",
        "address": "!string",
        "address_hash": "!string",  # salted, see suppression.py
        "updated_at": "!timestamp(6)",
    },
    ("customer_id",),
)

CONSENTS = Facts(
    # When each word was last said, per identifier, channel, topic, state and country: all that the rule needs (see
    # consent/rule.py). The ledger itself is in the database.
    "consents",
    {
        "identifier_id": "!int64",
        "customer_id": "!int64",
        "channel": "!string",
        "topic": "!string",
        "state": "!string",  # granted, denied, withdrawn, soft_opt_in, pending
        "occurred_at": "!timestamp(6)",
        "country": "string",  # whose law counts; null or empty: not known
    },
    ("identifier_id",),
)

CONSENT_EXPIRIES = Facts(
    "consent_expiries",  # the shop's rules about a consent's age; a handful
    {"country": "!string", "channel": "!string", "topic": "!string", "state": "!string", "months": "!int64"},
    ("country",),
)

SUPPRESSIONS = Facts(
    "suppressions",
    {"channel": "!string", "address_hash": "!string", "reason": "!string", "suppressed_at": "!timestamp(6)"},
    ("address_hash",),
)

TABLES = (
    IDENTITY_LINKS,
    IDENTITY_DECISIONS,
    IDENTITY_WARNINGS,
    IDENTIFIERS,
    TRAITS,
    PROFILES,
    ADDRESSES,
    CONSENTS,
    CONSENT_EXPIRIES,
    SUPPRESSIONS,
)
