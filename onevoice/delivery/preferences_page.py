"""The preference page as HTML: a switch for each topic and channel, one button to save and one to stop everything."""

from collections.abc import Sequence
from html import escape
from itertools import groupby

from onevoice.delivery.page import channel_name, shell, shown_address, simple
from onevoice.delivery.preferences import Choice
from onevoice.delivery.preferences_words import LANGUAGES, Words, words
from onevoice.kernel.locales import direction, language

_STYLE = """
nav { display: flex; flex-wrap: wrap; gap: .25rem .875rem; margin-bottom: 1.5rem; font-size: .9375rem; }
nav a, nav span { padding: .25rem 0; }
nav span { font-weight: 600; }
.note { margin: 1.25rem 0 0; padding: .75rem 1rem; border-radius: .625rem; background: var(--good); color: var(--ink); }
.meaning { margin-top: .75rem; font-size: .9375rem; }
fieldset { margin: 1.25rem 0 0; padding: 1rem 0 0; border: 0; border-top: 1px solid var(--line); }
legend { float: inline-start; width: 100%; padding: 0; font-weight: 600; font-size: 1.125rem; }
legend + * { clear: both; }
fieldset p { font-size: .9375rem; }
label { display: flex; align-items: center; justify-content: space-between; gap: 1rem; min-height: 3rem;
cursor: pointer; }
input[type=checkbox] { appearance: none; flex: none; position: relative; width: 3.25rem; height: 1.875rem; margin: 0;
border: 2px solid var(--edge); border-radius: 1rem; background: transparent; cursor: pointer; }
input[type=checkbox]::before { content: ""; position: absolute; inset-block-start: .25rem; inset-inline-start: .25rem;
width: 1.125rem; height: 1.125rem; border-radius: 50%; background: var(--edge); }
input[type=checkbox]:checked { border-color: var(--act); background: var(--act); }
input[type=checkbox]:checked::before { inset-inline-start: 1.625rem; background: var(--on-act); }
@media (prefers-reduced-motion: no-preference) { input[type=checkbox]::before { transition: inset .15s; } }
@media (forced-colors: active) { input[type=checkbox] { appearance: auto; } }
.stop { margin-top: 2rem; padding-top: 1.5rem; border-top: 1px solid var(--line); }
.stop button { margin-top: 1rem; background: transparent; color: var(--ink); border-color: var(--edge); }
"""


def page(locale: str, channel: str, address: str, choices: Sequence[Choice], note: str = "") -> str:
    """The page; `note` (saved, unchanged, stopped) says what has just been done."""
    tongue, own = language(locale), words(locale)
    done = f'<p class="note" role="status">{escape(getattr(own, note))}</p>' if note else ""
    body = f"""
{_languages(tongue, own)}
<h1>{escape(own.title)}</h1>
<p>{escape(own.whose.format(address=shown_address(channel, address, locale)))}</p>
{done}
<form method="post" action="?language={tongue}">
<p class="meaning" id="meaning">{escape(own.meaning)}</p>
{"".join(_topic(list(group), tongue) for _, group in groupby(choices, key=lambda choice: choice.topic.name))}
<button name="action" value="save">{escape(own.save)}</button>
</form>
<form class="stop" method="post" action="?language={tongue}">
<p id="stop">{escape(own.all_explained)}</p>
<button name="action" value="stop" aria-describedby="stop">{escape(own.all)}</button>
</form>
"""
    return shell(locale, own.title, body, style=_STYLE, width=34)


def busy(locale: str) -> str:
    """The page for too many changes in a short time."""
    own = words(locale)
    return simple(locale, own.busy_title, own.busy)


def _languages(tongue: str, own: Words) -> str:
    links = "".join(
        f'<span aria-current="true" lang="{name}">{escape(title)}</span>'
        if name == tongue
        else f'<a href="?language={name}" hreflang="{name}" lang="{name}" dir="{direction(name)}">{escape(title)}</a>'
        for name, title in LANGUAGES.items()
    )
    return f'<nav aria-label="{escape(own.languages)}">{links}</nav>'


def _topic(choices: Sequence[Choice], locale: str) -> str:
    topic = choices[0].topic
    described = f"<p>{escape(topic.description(locale))}</p>" if topic.description(locale) else ""
    switches = "".join(_switch(choice, locale) for choice in choices)
    return f"<fieldset><legend>{escape(topic.title(locale))}</legend><div>{described}{switches}</div></fieldset>"


def _switch(choice: Choice, locale: str) -> str:
    key = escape(choice.key)
    on = " checked" if choice.on else ""
    shown = f'<input type="hidden" name="shown" value="{key}">' if choice.on else ""
    return (
        f"<label><span>{escape(channel_name(choice.channel, locale))}</span>{shown}"
        f'<input type="checkbox" role="switch" name="on" value="{key}" aria-describedby="meaning"{on}></label>'
    )
