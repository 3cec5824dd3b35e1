"""The words of a double opt-in in the five locales: the message that asks, and the page behind its link."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from onevoice.kernel.locales import direction, language


@dataclass(frozen=True)
class Words:
    """`{channel}`, `{address}` and `{topic}` are filled in."""

    subject: str
    please: str
    confirm: str
    ignore: str
    sms: str
    ask_title: str
    ask: str
    done_title: str
    done: str
    used_title: str
    used: str
    late_title: str
    late: str
    again: str
    sent_title: str
    sent: str
    choose: str


WORDS: Mapping[str, Words] = {
    "en": Words(
        "Please confirm: {{ topic }}",
        "You asked us to write to you about “{{ topic }}”. "
        "Please confirm that this address is yours and that you want it.",
        "Yes, I confirm",
        "If you did not ask for this, ignore this message: without your confirmation we will not write to you.",
        "Please confirm that we may text you about {{ topic }}: {{ confirm_url }} Not you? {{ unsubscribe_url }}",
        "Please confirm",
        "May we write to you about “{topic}” by {channel}, to {address}? You can take this back at any time.",
        "Thank you, it is confirmed",
        "We will write to you about “{topic}” by {channel}. You can take this back at any time.",
        "This link has been used",
        "You have confirmed with it already. What holds now you see on the page of your choices.",
        "This link has run out",
        "Links to confirm work for a few days. Shall we send a new one to {address}?",
        "Send me a new link",
        "A new link is on its way",
        "Please look for our new message to {address}.",
        "See and change what I get",
    ),
    "it": Words(
        "Conferma: {{ topic }}",
        "Ci hai chiesto di scriverti su «{{ topic }}». Conferma che questo indirizzo è tuo e che lo desideri.",
        "Sì, confermo",
        "Se non l’hai chiesto tu, ignora questo messaggio: senza la tua conferma non ti scriveremo.",
        "Conferma che possiamo scriverti su {{ topic }}: {{ confirm_url }} Non sei tu? {{ unsubscribe_url }}",
        "Conferma la tua scelta",
        "Possiamo scriverti su «{topic}» via {channel}, a {address}? Puoi cambiare idea in qualsiasi momento.",
        "Grazie, è confermato",
        "Ti scriveremo su «{topic}» via {channel}. Puoi cambiare idea in qualsiasi momento.",
        "Questo link è già stato usato",
        "Con esso hai già confermato. Quello che vale ora lo vedi nella pagina delle tue scelte.",
        "Questo link è scaduto",
        "I link di conferma valgono pochi giorni. Ne inviamo uno nuovo a {address}?",
        "Inviami un nuovo link",
        "Un nuovo link è in arrivo",
        "Cerca il nostro nuovo messaggio a {address}.",
        "Vedi e cambia ciò che ricevo",
    ),
    "ro": Words(
        "Te rugăm să confirmi: {{ topic }}",
        "Ne-ai cerut să îți scriem despre „{{ topic }}”. Confirmă că această adresă este a ta și că dorești asta.",
        "Da, confirm",
        "Dacă nu ai cerut tu, ignoră acest mesaj: fără confirmarea ta nu îți vom scrie.",
        "Confirmă că îți putem scrie despre {{ topic }}: {{ confirm_url }} Nu ești tu? {{ unsubscribe_url }}",
        "Te rugăm să confirmi",
        "Putem să îți scriem despre „{topic}” prin {channel}, la {address}? Te poți răzgândi oricând.",
        "Mulțumim, este confirmat",
        "Îți vom scrie despre „{topic}” prin {channel}. Te poți răzgândi oricând.",
        "Acest link a fost folosit",
        "Ai confirmat deja cu el. Ce este valabil acum vezi pe pagina alegerilor tale.",
        "Acest link a expirat",
        "Linkurile de confirmare sunt valabile câteva zile. Trimitem unul nou la {address}?",
        "Trimiteți-mi un link nou",
        "Un link nou este pe drum",
        "Caută noul nostru mesaj la {address}.",
        "Vezi și schimbă ce primesc",
    ),
    "id": Words(
        "Mohon konfirmasi: {{ topic }}",
        "Anda meminta kami menulis tentang “{{ topic }}”. "
        "Mohon konfirmasi bahwa alamat ini milik Anda dan Anda setuju.",
        "Ya, saya konfirmasi",
        "Jika Anda tidak memintanya, abaikan pesan ini: tanpa konfirmasi Anda kami tidak akan menulis.",
        "Konfirmasi bahwa kami boleh menulis tentang {{ topic }}: {{ confirm_url }} Bukan Anda? {{ unsubscribe_url }}",
        "Mohon konfirmasi",
        "Bolehkah kami menulis tentang “{topic}” melalui {channel} ke {address}? Anda dapat membatalkannya kapan saja.",
        "Terima kasih, sudah dikonfirmasi",
        "Kami akan menulis tentang “{topic}” melalui {channel}. Anda dapat membatalkannya kapan saja.",
        "Tautan ini sudah digunakan",
        "Anda sudah mengonfirmasi dengannya. Yang berlaku sekarang ada di halaman pilihan Anda.",
        "Tautan ini sudah kedaluwarsa",
        "Tautan konfirmasi berlaku beberapa hari. Kirim yang baru ke {address}?",
        "Kirim tautan baru",
        "Tautan baru sedang dikirim",
        "Silakan cari pesan baru kami ke {address}.",
        "Lihat dan ubah yang saya terima",
    ),
    "ar": Words(
        "يرجى التأكيد: {{ topic }}",
        "طلبت منا أن نراسلك بشأن «{{ topic }}». يرجى تأكيد أن هذا العنوان لك وأنك ترغب في ذلك.",
        "نعم، أؤكد",
        "إذا لم تطلب ذلك فتجاهل هذه الرسالة: لن نراسلك من دون تأكيدك.",
        "يرجى تأكيد أنه يمكننا مراسلتك بشأن {{ topic }}: {{ confirm_url }} لست أنت؟ {{ unsubscribe_url }}",
        "يرجى التأكيد",
        "هل يمكننا مراسلتك بشأن «{topic}» عبر {channel} على {address}؟ يمكنك التراجع في أي وقت.",
        "شكرًا، تم التأكيد",
        "سنراسلك بشأن «{topic}» عبر {channel}. يمكنك التراجع في أي وقت.",
        "سبق استخدام هذا الرابط",
        "لقد أكدت به من قبل. ما يسري الآن تجده في صفحة اختياراتك.",
        "انتهت صلاحية هذا الرابط",
        "روابط التأكيد صالحة لبضعة أيام. هل نرسل رابطًا جديدًا إلى {address}؟",
        "أرسلوا لي رابطًا جديدًا",
        "رابط جديد في الطريق إليك",
        "يرجى البحث عن رسالتنا الجديدة إلى {address}.",
        "عرض ما أتلقاه وتغييره",
    ),
}


def words(locale: str) -> Words:
    """Those of the locale's language."""
    return WORDS[language(locale)]


_MJML = """
<mjml dir="{direction}" lang="{locale}"><mj-body width="480px" css-class="body"><mj-section><mj-column>
<mj-text font-size="17px" line-height="1.5" align="{align}"><div dir="{direction}">{please}</div></mj-text>
<mj-button href="{{{{ confirm_url }}}}" background-color="#14532d" font-size="17px"
border-radius="8px">{confirm}</mj-button>
<mj-text font-size="14px" line-height="1.5" color="#5f645a" align="{align}">
<div dir="{direction}">{ignore}</div></mj-text>
</mj-column></mj-section></mj-body></mjml>
"""


def _email(locale: str, own: Words) -> dict[str, str]:
    way = direction(locale)
    mjml = _MJML.format(
        direction=way,
        locale=locale,
        align="right" if way == "rtl" else "left",
        please=own.please,
        confirm=own.confirm,
        ignore=own.ignore,
    )
    return {"subject": own.subject, "mjml": mjml}


TEMPLATES: Mapping[str, dict[str, Any]] = {
    "email": {
        "name": "double_opt_in_email",
        "channel": "email",
        "locales": {locale: _email(locale, own) for locale, own in WORDS.items()},
    },
    "sms": {
        "name": "double_opt_in_sms",
        "channel": "sms",
        "locales": {locale: {"text": own.sms} for locale, own in WORDS.items()},
    },
}
"""The built-in messages; a shop that saves a template of the same name has its own words sent."""
