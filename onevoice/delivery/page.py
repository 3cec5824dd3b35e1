"""What the pages behind a message's links share: their look, an address only its owner can read, a channel's name.

No script, no font or picture from elsewhere, nothing kept in the browser; light and dark, phone and desktop,
left to right and right to left.
"""

from collections.abc import Mapping
from html import escape

from onevoice.kernel.locales import direction, language

HEADERS = {
    "cache-control": "no-store, max-age=0",
    "referrer-policy": "no-referrer",  # the address holds the token
    "content-security-policy": (
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-robots-tag": "noindex, nofollow",
}

CHANNELS: Mapping[str, Mapping[str, str]] = {
    "email": {"en": "E-mail", "it": "E-mail", "ro": "E-mail", "id": "E-mail", "ar": "البريد الإلكتروني"},
    "sms": {"en": "SMS", "it": "SMS", "ro": "SMS", "id": "SMS", "ar": "الرسائل القصيرة"},
    "push": {
        "en": "Notifications",
        "it": "Notifiche",
        "ro": "Notificări",
        "id": "Notifikasi",
        "ar": "الإشعارات",
    },
    "whatsapp": dict.fromkeys(("en", "it", "ro", "id"), "WhatsApp") | {"ar": "واتساب"},
}

_THIS_DEVICE = {"en": "your device", "it": "questo dispositivo", "ro": "acest dispozitiv", "id": "perangkat Anda"}
_THIS_DEVICE["ar"] = "جهازك"

_SHELL = """<!doctype html>
<html lang="{locale}" dir="{direction}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; --paper: #f6f3ec; --card: #fff; --ink: #22261f; --quiet: #5f645a; --act: #14532d;
--on-act: #fff; --line: #e3dfd5; --edge: #85897f; --good: #e4f0e6; }}
@media (prefers-color-scheme: dark) {{
:root {{ --paper: #14170f; --card: #1f241b; --ink: #ecefe6; --quiet: #a4ab9c; --act: #86c79a; --on-act: #10140d;
--line: #353b30; --edge: #8a9183; --good: #20352a; }}
}}
* {{ box-sizing: border-box; }}
body {{ margin: 0; min-height: 100vh; display: grid; place-items: center; background: var(--paper); color: var(--ink);
font: 1.0625rem/1.55 system-ui, "Segoe UI", "Noto Sans", "Noto Sans Arabic", sans-serif; }}
main {{ width: min({width}rem, 100vw - 2rem); margin: 1rem; padding: 2rem 1.75rem; background: var(--card);
border-radius: 1rem; box-shadow: 0 1px 2px #0002, 0 8px 32px #0001; }}
h1 {{ margin: 0 0 .75rem; font-size: 1.5rem; line-height: 1.25; text-wrap: balance; }}
p {{ margin: 0; color: var(--quiet); overflow-wrap: anywhere; white-space: pre-line; }}
a {{ color: var(--act); }}
button {{ margin-top: 1.5rem; width: 100%; min-height: 3rem; padding: .75rem 1rem; border: 1px solid var(--act);
border-radius: .625rem; background: var(--act); color: var(--on-act); font: inherit; font-weight: 600;
cursor: pointer; }}
:focus-visible {{ outline: 3px solid var(--ink); outline-offset: 2px; }}
{style}
</style>
</head>
<body><main>{body}</main></body>
</html>
"""


def shell(locale: str, title: str, body: str, *, style: str = "", width: int = 30) -> str:
    """A whole page; `body` is HTML, `width` in letters' heights."""
    tongue = language(locale)
    return _SHELL.format(
        locale=tongue, direction=direction(tongue), title=escape(title), body=body, style=style, width=width
    )


def simple(locale: str, title: str, text: str, form: str = "") -> str:
    """A page with a heading, a sentence, and perhaps a form (HTML)."""
    return shell(locale, title, f"<h1>{escape(title)}</h1><p>{escape(text)}</p>{form}")


def button(label: str, value: str = "") -> str:
    """A form with one button that posts to the page's own address."""
    named = f' name="action" value="{escape(value)}"' if value else ""
    return f'<form method="post"><button{named}>{escape(label)}</button></form>'


def channel_name(channel: str, locale: str) -> str:
    """What the channel is called."""
    return CHANNELS.get(channel, {}).get(language(locale), channel)


def shown_address(channel: str, address: str, locale: str) -> str:
    """The address, masked; a device's is none that anybody knows."""
    # Letters of one direction within a sentence of the other stay in order between these (Unicode's isolates).
    return f"\u2068{_masked(address)}\u2069" if channel != "push" else _THIS_DEVICE[language(locale)]


def _masked(address: str) -> str:
    """Enough to know one's own address by, not enough to learn it from a link that was passed on."""
    local, at, domain = address.partition("@")
    return f"{local[:1]}•••@{domain}" if at else f"•••{address[-3:]}"
