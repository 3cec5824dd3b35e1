"""The page behind an unsubscribe link, in the reader's language: it asks, and only its button unsubscribes."""

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape

from onevoice.kernel.locales import direction, language


@dataclass(frozen=True)
class _Words:
    ask_title: str
    ask: str
    button: str
    done_title: str
    done: str
    gone_title: str
    gone: str


_WORDS: Mapping[str, _Words] = {
    "en": _Words(
        "Unsubscribe",
        "Shall we stop sending you messages of this kind by {channel}, to {address}?",
        "Yes, unsubscribe",
        "You are unsubscribed",
        "We will send no more messages of this kind by {channel} to {address}.",
        "This link does not work",
        "It may be incomplete. Please open it again from the message.",
    ),
    "it": _Words(
        "Annulla l’iscrizione",
        "Vuoi che smettiamo di inviarti messaggi di questo tipo via {channel}, a {address}?",
        "Sì, annulla l’iscrizione",
        "Iscrizione annullata",
        "Non invieremo più messaggi di questo tipo via {channel} a {address}.",
        "Questo link non funziona",
        "Forse è incompleto. Aprilo di nuovo dal messaggio.",
    ),
    "ro": _Words(
        "Dezabonare",
        "Vrei să nu îți mai trimitem mesaje de acest fel prin {channel}, la {address}?",
        "Da, mă dezabonez",
        "Te-ai dezabonat",
        "Nu vom mai trimite mesaje de acest fel prin {channel} la {address}.",
        "Acest link nu funcționează",
        "Poate este incomplet. Deschide-l din nou din mesaj.",
    ),
    "id": _Words(
        "Berhenti berlangganan",
        "Apakah kami perlu berhenti mengirim pesan seperti ini melalui {channel} ke {address}?",
        "Ya, berhenti berlangganan",
        "Anda telah berhenti berlangganan",
        "Kami tidak akan lagi mengirim pesan seperti ini melalui {channel} ke {address}.",
        "Tautan ini tidak berfungsi",
        "Mungkin tautannya tidak lengkap. Silakan buka lagi dari pesan.",
    ),
    "ar": _Words(
        "إلغاء الاشتراك",
        "هل تريد أن نتوقف عن إرسال هذا النوع من الرسائل عبر {channel} إلى {address}؟",
        "نعم، ألغِ الاشتراك",
        "تم إلغاء اشتراكك",
        "لن نرسل بعد الآن رسائل من هذا النوع عبر {channel} إلى {address}.",
        "هذا الرابط لا يعمل",
        "قد يكون الرابط غير مكتمل. افتحه مرة أخرى من الرسالة.",
    ),
}

_CHANNELS: Mapping[str, Mapping[str, str]] = {
    "email": {"en": "e-mail", "it": "e-mail", "ro": "e-mail", "id": "e-mail", "ar": "البريد الإلكتروني"},
    "sms": {"en": "SMS", "it": "SMS", "ro": "SMS", "id": "SMS", "ar": "الرسائل القصيرة"},
    "push": {
        "en": "notification",
        "it": "notifica",
        "ro": "notificări",
        "id": "notifikasi",
        "ar": "الإشعارات",
    },
}
_THIS_DEVICE = {"en": "your device", "it": "questo dispositivo", "ro": "acest dispozitiv", "id": "perangkat Anda"}
_THIS_DEVICE["ar"] = "جهازك"

_PAGE = """<!doctype html>
<html lang="{locale}" dir="{direction}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; --paper: #f6f3ec; --card: #fff; --ink: #22261f; --quiet: #676c62; --act: #14532d; }}
@media (prefers-color-scheme: dark) {{
:root {{ --paper: #14170f; --card: #1f241b; --ink: #ecefe6; --quiet: #a4ab9c; --act: #86c79a; }}
button {{ color: #10140d !important; }}
}}
body {{ margin: 0; min-height: 100vh; display: grid; place-items: center; background: var(--paper); color: var(--ink);
font: 1.0625rem/1.55 system-ui, "Segoe UI", "Noto Sans Arabic", sans-serif; }}
main {{ box-sizing: border-box; width: min(30rem, 100vw - 2rem); padding: 2rem 1.75rem; background: var(--card);
border-radius: 1rem; box-shadow: 0 1px 2px #0002, 0 8px 32px #0001; }}
h1 {{ margin: 0 0 .75rem; font-size: 1.5rem; line-height: 1.25; text-wrap: balance; }}
p {{ margin: 0; color: var(--quiet); overflow-wrap: anywhere; }}
button {{ margin-top: 1.5rem; width: 100%; min-height: 3rem; padding: .75rem 1rem; border: 0; border-radius: .625rem;
background: var(--act); color: #fff; font: inherit; font-weight: 600; cursor: pointer; }}
button:focus-visible {{ outline: 3px solid var(--ink); outline-offset: 2px; }}
</style>
</head>
<body><main><h1>{title}</h1><p>{text}</p>{form}</main></body>
</html>
"""


def asking(locale: str, channel: str, address: str) -> str:
    """The page that asks; its button posts to its own address."""
    words = _WORDS[language(locale)]
    form = f'<form method="post"><button>{escape(words.button)}</button></form>'
    return _page(locale, words.ask_title, _filled(words.ask, locale, channel, address), form)


def done(locale: str, channel: str, address: str) -> str:
    """The page that confirms."""
    words = _WORDS[language(locale)]
    return _page(locale, words.done_title, _filled(words.done, locale, channel, address))


def gone(locale: str) -> str:
    """The page for a link that is not ours."""
    words = _WORDS[language(locale)]
    return _page(locale, words.gone_title, words.gone)


def _page(locale: str, title: str, text: str, form: str = "") -> str:
    tongue = language(locale)
    return _PAGE.format(locale=tongue, direction=direction(tongue), title=escape(title), text=escape(text), form=form)


def _filled(sentence: str, locale: str, channel: str, address: str) -> str:
    tongue = language(locale)
    named = _CHANNELS.get(channel, {}).get(tongue, channel)
    # Letters of one direction within a sentence of the other stay in order between these (Unicode's isolates).
    shown = f"\u2068{_masked(address)}\u2069" if channel != "push" else _THIS_DEVICE[tongue]
    return sentence.format(channel=named, address=shown)


def _masked(address: str) -> str:
    """Enough to know one's own address by, not enough to learn it from a link that was passed on."""
    local, at, domain = address.partition("@")
    return f"{local[:1]}•••@{domain}" if at else f"•••{address[-3:]}"
