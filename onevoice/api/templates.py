"""Templates, brands and blocks over HTTP: list, save, check, preview for a real customer, send a test."""

from datetime import datetime
from pathlib import Path as FilePath
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from onevoice.api.access import Ask, Database, Now
from onevoice.content import checks, parts, preview, reach, standard_blocks, templates
from onevoice.content.checks import Finding
from onevoice.delivery import trial
from onevoice.delivery.launching import circumstances
from onevoice.engine.personal import variables_of
from onevoice.kernel.errors import NotFound

router = APIRouter(tags=["content"])

Document = dict[str, Any]
Name = Annotated[str, Path(description="The template's name")]
Kind = Annotated[Literal["brands", "blocks"], Path(description="brands or blocks")]
PartName = Annotated[str, Path(description="The brand's or block's name")]


class TemplateRow(BaseModel):
    """A template in the list."""

    name: str
    title: str
    version: int
    channels: dict[str, list[str]] = Field(description="By channel, the locales it has variants for")
    transactional: bool
    saved_at: datetime | None


class Saved(BaseModel):
    """What became of a save."""

    name: str
    version: int
    changed: bool


class PartRow(BaseModel):
    """A brand or block."""

    name: str
    version: int
    saved_at: datetime
    definition: Document


class FindingRow(BaseModel):
    """A doubt about a template. An error must be mended before launch."""

    severity: Literal["error", "warning"]
    rule: str
    channel: str = Field(description="Empty: of the whole template")
    locale: str
    said: str = Field(description="The sentence, in the language asked for")
    seen: dict[str, Any]
    template: str


class Check(BaseModel):
    """What to check for."""

    definition: Document | None = Field(None, description="A template that is not saved yet, in place of the saved one")
    segment: str = Field("", description="Who it is for; empty: all customers")
    links: bool = Field(False, description="Also call every link; takes seconds")
    locale: str = Field("en", description="Language of the sentences")


class Preview(BaseModel):
    """Whom to show it to."""

    customer_id: int | None = Field(None, description="A real customer; left out: typical values")
    locale: str = Field("", description="Left out: the customer's own")
    channel: str = Field("", description="Left out: all channels of the template")
    definition: Document | None = Field(None, description="A template that is not saved yet, in place of the saved one")
    journey: str = Field("", description="The journey whose message it is, for `event`; left out: none")


class Seen(BaseModel):
    """A template as a customer sees it on one channel."""

    channel: str
    locale: str = Field(description="Of the variant that was chosen")
    direction: str
    sender: str
    content: dict[str, str]
    problem: str = Field("", description="Why it cannot be made for this customer")
    kilobytes: float | None = None
    sms: dict[str, Any] | None = None


class Test(BaseModel):
    """Where a test goes."""

    channel: str
    address: str = Field(description="One of the test list")
    customer_id: int | None = Field(None, description="Whose message to send; left out: typical values")
    locale: str = ""
    journey: str = Field("", description="The journey whose message it is, for `event`; left out: none")


class Sent(BaseModel):
    """The test's message."""

    message_id: str


class Recipient(BaseModel):
    """An address that tests may be sent to."""

    channel: str = Field(max_length=50, description="One that templates can be written for")
    address: str
    name: str = ""


@router.get("/v1/templates", summary="All templates")
def listed(database: Database) -> list[TemplateRow]:
    """The newest version of each."""
    with database.connect() as connection:
        return [_row(one) for one in templates.all_templates(connection)]


@router.get("/v1/templates/{name}", summary="One template as it is written")
def one(database: Database, name: Name, version: Annotated[int | None, Query()] = None) -> Document:
    """The document, as `onevoice apply` takes it."""
    with database.connect() as connection:
        found = templates.get(connection, name, version)
    return {**found.document(), "version": found.version}


@router.put("/v1/templates/{name}", summary="Save a template")
def saved(database: Database, now: Now, name: Name, body: Document) -> Saved:
    """A new version, unless nothing has changed. What cannot be right is refused with place and line."""
    document = {**body, "name": name}
    document.pop("version", None)
    with database.begin() as connection:
        version, changed = templates.save(connection, document, now, NOWHERE)
    return Saved(name=name, version=version, changed=changed)


NOWHERE = FilePath("/nonexistent")
"""Documents that come over HTTP read no files."""


@router.post("/v1/templates/{name}/check", summary="Check a template before launch")
async def checked(request: Request, ask: Ask, database: Database, name: Name, body: Check) -> list[FindingRow]:
    """Errors first. Tried on fifty real customers of the segment, the same ones each time."""

    def check() -> list[Finding]:
        template = _template(database, name, body.definition)
        audience = ask.ask("audience", segment=body.segment)
        told = circumstances(request.app.state.settings.channels, audience)
        return checks.check(template, told) + (reach.check_links(template) if body.links else [])

    return [finding_row(one, body.locale) for one in await run_in_threadpool(check)]


@router.post("/v1/templates/{name}/preview", summary="Show a template as a customer would get it")
def previewed(ask: Ask, database: Database, name: Name, body: Preview) -> list[Seen]:
    """On each channel; the variables are looked up as the hand-off does it. Nothing is saved or sent."""
    template = _template(database, name, body.definition)
    variables, locale = variables_of(ask, database, body.customer_id, body.locale, body.journey)
    return [Seen(**one) for one in preview.preview(template, variables, locale, body.channel)]


@router.post("/v1/templates/{name}/test", summary="Send a test", status_code=202)
def tested(ask: Ask, database: Database, now: Now, name: Name, body: Test) -> Sent:
    """Queues one message to an address of the test list. No figure counts it, and its links change nobody's choices."""
    variables, locale = variables_of(ask, database, body.customer_id, body.locale, body.journey)
    with database.begin() as connection:
        template = templates.get(connection, name)
        message_id = trial.send_test(
            connection, template, body.channel, body.address, locale, variables, body.customer_id or 0, now
        )
    return Sent(message_id=message_id)


@router.get("/v1/test-recipients", summary="Who tests may be sent to")
def recipients(database: Database) -> list[Recipient]:
    """The test list."""
    with database.connect() as connection:
        rows = trial.recipients(connection)
    return [Recipient(channel=row["channel"], address=row["address"], name=row["name"]) for row in rows]


@router.put("/v1/test-recipients", summary="Put an address on the test list")
def recipient_added(database: Database, now: Now, body: Recipient) -> Recipient:
    """Twice is once."""
    with database.begin() as connection:
        trial.add_recipient(connection, body.channel, body.address, body.name, now)
    return body


@router.delete("/v1/test-recipients", summary="Take an address off the test list", status_code=204)
def recipient_removed(
    database: Database, channel: Annotated[str, Query()], address: Annotated[str, Query()]
) -> Response:
    """To undo it, put it on again."""
    with database.begin() as connection:
        trial.remove_recipient(connection, channel, address)
    return Response(status_code=204)


@router.get("/v1/content/{kind}", summary="All brands or blocks")
def all_parts(database: Database, kind: Kind) -> list[PartRow]:
    """The newest version of each that was saved."""
    with database.connect() as connection:
        return [_part(one) for one in parts.all_parts(connection, kind.removesuffix("s"))]


@router.get("/v1/content/{kind}/{name}", summary="One brand or block")
def one_part(database: Database, kind: Kind, name: PartName) -> Document:
    """The document; of a block that is there from the start, too."""
    with database.connect() as connection:
        try:
            return parts.get(connection, kind.removesuffix("s"), name).document
        except NotFound:
            if kind == "blocks":
                return parts.written(standard_blocks.find(name))
            raise


@router.put("/v1/content/{kind}/{name}", summary="Save a brand or block")
def part_saved(database: Database, now: Now, kind: Kind, name: PartName, body: Document) -> Saved:
    """A new version, unless nothing has changed; the templates that it changes get a new version too."""
    document = {**body, "kind": kind.removesuffix("s"), "name": name}
    with database.begin() as connection:
        version, changed = templates.save_part(connection, document, now)
    return Saved(name=name, version=version, changed=changed)


def finding_row(one: Finding, locale: str) -> FindingRow:
    """A finding as the API shows it."""
    return FindingRow(
        severity=one.severity,
        rule=one.rule,
        channel=one.channel,
        locale=one.locale,
        said=one.said(locale),
        seen=dict(one.seen),
        template=one.template,
    )


def _template(database: Any, name: str, definition: Document | None) -> templates.SavedTemplate:
    with database.connect() as connection:
        if definition is None:
            return templates.get(connection, name)
        return templates.draft({**definition, "name": name}, NOWHERE, parts.kit(connection))


def _row(found: templates.SavedTemplate) -> TemplateRow:
    channels: dict[str, list[str]] = {}
    for variant in found.variants:
        channels.setdefault(variant.channel, []).append(variant.locale)
    return TemplateRow(
        name=found.name,
        title=found.options.title,
        version=found.version,
        channels=channels,
        transactional=found.options.transactional,
        saved_at=found.saved_at,
    )


def _part(found: parts.SavedPart) -> PartRow:
    return PartRow(name=found.name, version=found.version, saved_at=found.saved_at, definition=found.document)
