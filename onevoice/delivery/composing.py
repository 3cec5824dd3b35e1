"""From a leased message to one an adapter can send: its template found, rendered, its links tracked."""

import re

import msgspec
from sqlalchemy import Engine

from onevoice.channels.adapter import OutboundMessage
from onevoice.content import rendering, templates
from onevoice.content.buffer import MARK
from onevoice.content.rendering import Template
from onevoice.delivery.links import LinkMaker
from onevoice.delivery.queue import Leased

MOST_TEMPLATES = 1_000
"""Parsed templates a worker keeps."""

_JSON_MARK = f"\\u{ord(MARK):04x}"
_MARKED = re.compile(r"(?<!\\)((?:\\\\)*)" + re.escape(_JSON_MARK))
"""A MARK in JSON, and not a backslash that stands before the letters of one."""


class Composer:
    """Keeps the templates a worker needs parsed."""

    def __init__(self, database: Engine, links: LinkMaker) -> None:
        self.links = links
        self._database = database
        self._templates: dict[tuple[str, int, str, str], Template] = {}

    def compose(self, message: Leased) -> OutboundMessage:
        """The message, rendered. Raises NotFound for a missing template, InvalidInput for one that cannot be rendered.

        What `links.fresh` holds afterwards must be stored before the message is sent.
        """
        text = message.variables
        if not message.template:  # a call of a program, not of a person: the variables are all there is to say
            return OutboundMessage(str(message.id), message.channel, message.address, {"body": text})
        template = self._template(message)
        if _JSON_MARK in text:
            text = _MARKED.sub(r"\1", text)  # a value must not be able to make itself a link
        links = self.links.of_message(message.number, template.brand.get("tracking_url", ""))
        content = rendering.render(template, msgspec.json.decode(text), links)
        return OutboundMessage(
            str(message.id),
            message.channel,
            message.address,
            content,
            links.unsubscribe_url,
            self.links.tokens.answer(message.number),
            f"{message.journey}:{message.step}" if message.journey else message.step,
            template.brand.get("senders", {}).get(message.channel, ""),
        )

    def _template(self, message: Leased) -> Template:
        key = (message.template, message.template_version, message.locale, message.channel)
        found = self._templates.get(key)
        if found is None:
            if len(self._templates) >= MOST_TEMPLATES:
                self._templates.clear()
            with self._database.connect() as connection:
                found = self._templates[key] = templates.find(connection, *key)
        return found
