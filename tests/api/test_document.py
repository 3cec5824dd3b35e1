"""The OpenAPI document against the running api, by schemathesis: every operation, with values it allows and others.

No answer may be a 5xx, and each must have a status, a content type and a body that the document describes.
"""

import random
from base64 import urlsafe_b64encode
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import hypothesis
import pytest
import schemathesis
from hypothesis import HealthCheck
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi import checks

from onevoice.content import templates as content
from onevoice.customers.identifiers import Identifier
from onevoice.engine import answers
from onevoice.events import sources
from onevoice.journeys import backtests, requests
from onevoice.journeys import service as journeys
from onevoice.kernel.settings import Settings
from onevoice.segments import service as segments
from tests.api.test_api import SEGMENT
from tests.conftest import NOW
from tests.delivery.sending import TEMPLATES
from tests.journeys.builders import journey
from tests.peers.serving import Shop
from tests.peers.serving import shop as shopping

EXAMPLES = 8
"""Per operation and mode: over all operations half a minute."""

SEED = 20260302

NAMES = ("till", str(SEGMENT["name"]), journey().name)
"""Of a source, a segment, a journey; templates have them all."""

VAPID = urlsafe_b64encode(bytes(31) + b"\1").rstrip(b"=").decode()
"""A private key as small as can be."""

CHECKS: list[Any] = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]


@pytest.fixture
def running(settings: Settings) -> Iterator[Shop]:
    """An api and an engine with a customer, a segment, a journey, a template: so that not every answer is a 404."""
    webpush = {"adapter": "webpush", "private_key": VAPID, "contact": "mailto:push@shop.example"}
    with shopping(replace(settings, channels={"webpush": webpush})) as made:
        server = answers.serve(made.engine)
        with made.engine.database.begin() as connection:
            segments.save(connection, SEGMENT, NOW)
            journeys.save(connection, journey().definition, NOW)
            journeys.save(connection, journey(name="till", entry={"api": True}).definition, NOW)
            scanned = {"code": {"to": "https://shop.example/"}}
            journeys.save(connection, journey(name=SEGMENT["name"], entry=scanned).definition, NOW)
            sources.ensure(connection, "till", "till")
            content.save_part(connection, {"kind": "brand", "name": "till", "title": "Corner"}, NOW)
            for name in NAMES:
                content.save(connection, {**TEMPLATES["push"], "name": name}, NOW, Path())
        yield made
        server.stop()


def test_every_operation_answers_as_the_document_says(running: Shop) -> None:
    key = (running.engine.settings.data_dir / "api-key").read_text().strip()
    with httpx.Client(auth=(running.write_key, "")) as http:
        call = {"userId": "anna", "anonymousId": "d", "traits": {"email": "anna@example.com", "firstName": "Anna"}}
        http.post(f"{running.url}/v1/identify", json=call).raise_for_status()
    running.load(1)
    known = known_values(running)
    document = schemathesis.openapi.from_url(f"{running.url}/openapi.json")
    statuses: dict[str, Counter[int]] = {}
    broken: list[str] = []
    for operation in (found.ok() for found in document.get_all_operations()):
        is_tracking = "tracking" in (operation.tags or [])
        secret = {"auth": (running.write_key, "")} if is_tracking else {"headers": {"x-api-key": key}}
        statuses[operation.label] = Counter()
        for mode in GenerationMode:
            try:
                attack(operation, mode, known, secret, statuses[operation.label])
            except FailureGroup as failures:
                broken += [f"{operation.label} ({mode.value}): {one}" for one in failures.exceptions]
            except Unsatisfiable:
                assert mode is GenerationMode.NEGATIVE, operation.label  # nothing is given, so nothing can be wrong
    assert not broken, "\n\n".join(broken)
    good = [label for label, seen in statuses.items() if any(status < 400 for status in seen)]
    assert len(good) > len(statuses) * 2 // 3, f"too few operations were ever answered well: {statuses}"


def attack(
    operation: APIOperation[Any, Any, Any, Any],
    mode: GenerationMode,
    known: dict[str, list[str]],
    secret: dict[str, Any],
    seen: Counter[int],
) -> None:
    """Asks an operation a number of times, most of them about things that exist, and checks each answer."""

    @hypothesis.seed(SEED)
    @hypothesis.settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[hypothesis.Phase.generate],
    )
    @hypothesis.given(case=operation.as_strategy(generation_mode=mode), chance=hypothesis.strategies.integers())
    def check(case: Case, chance: int) -> None:
        luck = random.Random(f"{operation.label} {mode} {sum(seen.values())} {chance}")  # another for each question
        for name in case.path_parameters or {}:
            if name in known and luck.random() < 0.7:
                case.path_parameters[name] = luck.choice(known[name])
        response = case.call(allow_redirects=False, timeout=60, **secret)
        seen[response.status_code] += 1
        case.validate_response(response, checks=CHECKS)

    check()


def known_values(shop: Shop) -> dict[str, list[str]]:
    """Values of path parameters that exist."""
    with shop.engine.database.begin() as connection:
        segments.save(connection, {**SEGMENT, "name": "dormant"}, NOW)
        tried = backtests.ask(connection, journey().definition, NOW)
    return {
        "backtest_id": [str(tried)],
        "version": ["1"],
        "token": [requests.code(shop.engine.secret, SEGMENT["name"], Identifier("user_id", "anna"))],
        "write_key": [shop.write_key],
        "name": list(NAMES),
        "customer_id": [str(row["customer_id"]) for row in shop.rows("identifiers")] or ["1"],
    }
