"""Whether the links of a template lead anywhere: each is asked for over HTTP, only where somebody wants to know.

Called are public addresses only (see `channels.outside`): a template must not make us look into our own network.
"""

import asyncio
from collections.abc import Iterable

import httpcore
import httpx

from onevoice.channels import outside
from onevoice.content import markup, sample
from onevoice.content.checks import Finding
from onevoice.content.rendering import UntrackedLinks, render
from onevoice.content.templates import SavedTemplate
from onevoice.kernel.errors import InvalidInput

MOST_LINKS = 100
AT_ONCE = 8
OURS = "https://example.com/"
"""Where the links of a check begin that a message has of its own."""


class _Collected(UntrackedLinks):
    """Keeps the addresses that would be tracked."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def tracked(self, address: str) -> str:
        """The address itself."""
        self.found.append(address)
        return address


def links(template: SavedTemplate) -> list[str]:
    """The template's links for a typical customer; those of typical products are left out."""
    kept = _Collected()
    for variant in template.variants:
        try:
            content = render(template.prepared(variant.channel, variant.locale), sample.VARIABLES, kept)
        except InvalidInput:
            continue  # `checks` says so
        if "html" in content:
            kept.found += [one for one in markup.seen(content["html"]).links if one.startswith("http")]
    unreal = (OURS, sample.SHOP)
    return [one for one in dict.fromkeys(kept.found) if not one.startswith(unreal)][:MOST_LINKS]


def dead(addresses: Iterable[str], timeout_seconds: float = 5.0, *, anywhere: bool = False) -> dict[str, str]:
    """The addresses that do not work, each with why."""
    return asyncio.run(_dead(list(addresses), timeout_seconds, anywhere=anywhere))


def check_links(template: SavedTemplate, timeout_seconds: float = 5.0, *, anywhere: bool = False) -> list[Finding]:
    """The same as findings."""
    found = dead(links(template), timeout_seconds, anywhere=anywhere)
    return [
        Finding("error", "dead_link", seen={"link": link, "why": why}, template=template.name)
        for link, why in found.items()
    ]


async def _dead(addresses: list[str], timeout_seconds: float, *, anywhere: bool) -> dict[str, str]:
    room = asyncio.Semaphore(AT_ONCE)
    async with outside.client(timeout_seconds, anywhere=anywhere) as http:

        async def asked(address: str) -> str:
            async with room:
                return await _why_dead(http, address)

        answers = await asyncio.gather(*(asked(address) for address in addresses))
    return {address: why for address, why in zip(addresses, answers, strict=True) if why}


async def _why_dead(http: httpx.AsyncClient, address: str) -> str:
    """Empty where it works. A page that leads on does; where HEAD is not liked, the page itself is asked for."""
    try:
        response = await http.head(address)
        if response.status_code >= 400:
            async with http.stream("GET", address) as response:
                pass
    except httpx.TimeoutException:
        return "no answer in time"
    except (httpx.HTTPError, httpx.InvalidURL, httpcore.NetworkError, outside.NotOutside) as error:
        return str(error) or type(error).__name__
    return f"HTTP {response.status_code}" if response.status_code >= 400 else ""
