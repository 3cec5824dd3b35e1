"""The page behind an unsubscribe link, in the reader's language: it asks, and only its button unsubscribes."""

from collections.abc import Mapping
from dataclasses import dataclass

from onevoice.delivery.page import button, channel_name, shown_address, simple
from onevoice.kernel.locales import language


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

_CHANNELS: Mapping[str, str] = {"en": "notification", "it": "notifica", "ro": "notificări", "id": "notifikasi"}
"""A push message within a sentence; the other channels are called the same there."""


def asking(locale: str, channel: str, address: str) -> str:
    """The page that asks; its button posts to its own address."""
    words = _WORDS[language(locale)]
    return simple(locale, words.ask_title, _filled(words.ask, locale, channel, address), button(words.button))


def done(locale: str, channel: str, address: str) -> str:
    """The page that confirms."""
    words = _WORDS[language(locale)]
    return simple(locale, words.done_title, _filled(words.done, locale, channel, address))


def gone(locale: str) -> str:
    """The page for a link that is not ours."""
    words = _WORDS[language(locale)]
    return simple(locale, words.gone_title, words.gone)


def text(locale: str, channel: str) -> str:
    """What the page asks and the button says, for the ledger; the address stays out of it."""
    words = _WORDS[language(locale)]
    return f"{words.ask.format(channel=_named(channel, locale), address='…')}\n[{words.button}]"


def _filled(sentence: str, locale: str, channel: str, address: str) -> str:
    return sentence.format(channel=_named(channel, locale), address=shown_address(channel, address, locale))


def _named(channel: str, locale: str) -> str:
    inside = _CHANNELS.get(language(locale)) if channel == "push" else None
    name = inside or channel_name(channel, locale)
    return "e-mail" if name == "E-mail" else name
