"""Words by which people stop and start messages, in the five locales, and what we say to it. Pure.

A message that is one of these words, and nothing else, acts at once. A longer one that looks as if somebody wanted no
more is shown to a person (opt_outs.py): "Stop by our shop" is none. The English words are those that 47 CFR
64.1200(a)(10) names as clear without doubt, with those of the CTIA's short code handbook.
"""

import re
import unicodedata
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

STOP_WORDS: Mapping[str, tuple[str, ...]] = {
    "en": ("stop", "stop all", "stopall", "quit", "end", "revoke", "opt out", "optout", "cancel", "unsubscribe"),
    "it": ("stop", "basta", "cancella", "cancellami", "annulla", "disattiva", "disiscrivi", "disiscrivimi", "rimuovi"),
    "ro": ("stop", "oprește", "opriți", "dezabonare", "dezabonează", "dezabonează-mă", "anulează", "renunț"),
    "id": ("stop", "berhenti", "henti", "batal", "batalkan", "keluar", "unreg"),
    "ar": ("إيقاف", "أوقف", "توقف", "قف", "إلغاء", "إلغاء الاشتراك", "الغاء الاشتراك"),
}
START_WORDS: Mapping[str, tuple[str, ...]] = {
    "en": ("start", "unstop", "resume", "opt in", "subscribe"),
    "it": ("attiva", "riattiva", "riprendi", "iscrivimi"),
    "ro": ("pornește", "reia", "abonare", "abonează-mă"),
    "id": ("mulai", "lanjut", "lanjutkan", "aktifkan", "reg"),
    "ar": ("ابدأ", "استئناف", "تفعيل", "اشتراك", "اشترك"),
}

_HINTS = (
    r"\bstop\b|\bquit\b|unsubscri|\bopt(ing|ed)?[ -]?out|remove me|take me off|leave me alone"
    r"|no more (text|mail|sms|messag)"
    r"|(do not|don.?t|never) (text|write|e?mail|contact|messag|send|call)|not interested|wrong (number|person)|spam"
    r"|\bbasta\b|disiscriv|cancellat?e?mi|non (mi )?(scriv|contatt|mand|invi|chiam)|non (voglio|desidero) (più|piu)"
    r"|dezabon|opri(ti|ți|te|ți)|nu (mai|ma|mă) (trimit|scri|contact|deranj|vreau|doresc|suna)|nu mai"
    r"|berhenti|jangan (kirim|hubungi|ganggu|sms|telepon)|tidak mau|hapus nomor|tidak ingin"
    r"|توقف|إيقاف|ايقاف|الغاء|إلغاء|لا ترسل|لا تتصل|لا اريد|لا أريد|كفى"
)
_hints = re.compile(_HINTS, re.IGNORECASE)

LOOKED_AT = 600
"""Characters in which hints are looked for; whoever wants no more says so early."""


class Wish(StrEnum):
    """What a text wants."""

    STOP = "stop"
    START = "start"
    PERHAPS_STOP = "perhaps_stop"  # a person must look
    NOTHING = "nothing"  # of all this


def wish(text: str) -> Wish:
    """What the text wants.

    >>> wish(" Stop! "), wish("OPRESTE"), wish("Please stop texting me"), wish("Thanks")
    (<Wish.STOP: 'stop'>, <Wish.STOP: 'stop'>, <Wish.PERHAPS_STOP: 'perhaps_stop'>, <Wish.NOTHING: 'nothing'>)
    """
    bare = _bare(text[:100])
    if len(text) <= 100 and bare in _STOP:
        return Wish.STOP
    if len(text) <= 100 and bare in _START:
        return Wish.START
    return Wish.PERHAPS_STOP if _hints.search(text[:LOOKED_AT]) else Wish.NOTHING


def _bare(text: str) -> str:
    """Without case, accents, Arabic's optional marks and the several spellings of its alef, quotes and full stops."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    letters = "".join(one for one in decomposed if unicodedata.category(one) not in ("Mn", "Cf") and one != "ـ")
    return " ".join(re.sub(r"[^\w]+|_", " ", letters).split())


_STOP = frozenset(_bare(word) for words in STOP_WORDS.values() for word in words)
_START = frozenset(_bare(word) for words in START_WORDS.values() for word in words)

_SAID: Mapping[str, tuple[str, str, str]] = {
    # subject, stopped, started
    "en": (
        "Your choice is noted",
        "You will get no more offers from us here. This is the last message. To get them again, answer START.",
        "You will get our offers here again. To end them at any time, answer STOP.",
    ),
    "it": (
        "Abbiamo preso nota",
        "Qui non riceverai più nostre offerte. Questo è l'ultimo messaggio. Per riceverle di nuovo rispondi ATTIVA.",
        "Riceverai di nuovo qui le nostre offerte. Per non riceverle più rispondi STOP.",
    ),
    "ro": (
        "Am notat alegerea ta",
        "Nu vei mai primi oferte de la noi aici. Este ultimul mesaj. Ca sa le primesti din nou raspunde START.",
        "Vei primi din nou ofertele noastre aici. Ca sa le opresti raspunde STOP.",
    ),
    "id": (
        "Pilihan Anda sudah dicatat",
        "Anda tidak akan menerima penawaran kami lagi di sini. Ini pesan terakhir. Untuk memulai lagi, balas MULAI.",
        "Anda akan menerima penawaran kami lagi di sini. Untuk berhenti, balas STOP.",
    ),
    "ar": (
        "سجلنا اختيارك",
        "لن تصلك عروضنا هنا بعد الآن. هذه آخر رسالة. لاستقبالها من جديد أجب بكلمة: ابدأ",
        "ستصلك عروضنا هنا من جديد. لإيقافها أجب بكلمة: إيقاف",
    ),
}


def _contents(channel: str, said: tuple[str, str, str], number: int) -> dict[str, str]:
    if channel == "email":
        column = f"<mj-column><mj-text>{said[number]}</mj-text></mj-column>"
        return {"subject": said[0], "mjml": f"<mjml><mj-body><mj-section>{column}</mj-section></mj-body></mjml>"}
    return {"text": said[number]}


def template(channel: str, *, stopped: bool) -> dict[str, Any] | None:
    """The built-in confirmation; a shop that saves a template of the same name has its own words sent."""
    if channel not in ("sms", "email"):  # the others have no template that may be sent unasked
        return None
    number = 1 if stopped else 2
    return {
        "name": f"{'stopped' if stopped else 'started'}_{channel}",
        "channel": channel,
        "transactional": True,
        "locales": {locale: _contents(channel, said, number) for locale, said in _SAID.items()},
    }
