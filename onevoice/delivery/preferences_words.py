"""The words of the preference page in the five locales."""

from collections.abc import Mapping
from dataclasses import dataclass

from onevoice.kernel.locales import language


@dataclass(frozen=True)
class Words:
    """What stands on the page."""

    title: str
    whose: str  # {address}
    meaning: str
    on: str
    off: str
    save: str
    all_explained: str
    all: str
    saved: str
    unchanged: str
    stopped: str
    languages: str
    busy_title: str
    busy: str


LANGUAGES: Mapping[str, str] = {
    "en": "English",
    "it": "Italiano",
    "ro": "Română",
    "id": "Bahasa Indonesia",
    "ar": "العربية",
}
"""Each in its own words."""

WORDS: Mapping[str, Words] = {
    "en": Words(
        "What would you like to hear about?",
        "These are the choices of {address}.",
        "A switch that is on means: I agree that you write to me about this topic on this channel. "
        "I can change this at any time.",
        "on",
        "off",
        "Save my choices",
        "No offers and no news any more, about any topic, on any channel. Receipts and answers still reach you.",
        "Unsubscribe from everything",
        "Your choices are saved.",
        "Nothing has changed.",
        "You are unsubscribed from everything.",
        "Language of this page",
        "Too many changes",
        "Please wait a few minutes and open the page again.",
    ),
    "it": Words(
        "Di che cosa vuoi sentire parlare?",
        "Queste sono le scelte di {address}.",
        "Un interruttore acceso significa: acconsento a ricevere messaggi su questo argomento tramite questo canale. "
        "Posso cambiare idea in qualsiasi momento.",
        "acceso",
        "spento",
        "Salva le mie scelte",
        "Più nessuna offerta e nessuna novità, su nessun argomento e nessun canale. "
        "Ricevute e risposte ti arrivano ancora.",
        "Annulla ogni iscrizione",
        "Le tue scelte sono salvate.",
        "Non è cambiato nulla.",
        "Hai annullato ogni iscrizione.",
        "Lingua di questa pagina",
        "Troppe modifiche",
        "Attendi qualche minuto e apri di nuovo la pagina.",
    ),
    "ro": Words(
        "Despre ce vrei să afli?",
        "Acestea sunt alegerile pentru {address}.",
        "Un comutator pornit înseamnă: sunt de acord să îmi scrieți despre acest subiect pe acest canal. "
        "Mă pot răzgândi oricând.",
        "pornit",
        "oprit",
        "Salvează alegerile mele",
        "Nicio ofertă și nicio noutate, despre niciun subiect, pe niciun canal. "
        "Bonurile și răspunsurile ajung în continuare.",
        "Dezabonează-mă de la tot",
        "Alegerile tale au fost salvate.",
        "Nu s-a schimbat nimic.",
        "Te-ai dezabonat de la tot.",
        "Limba acestei pagini",
        "Prea multe modificări",
        "Așteaptă câteva minute și deschide din nou pagina.",
    ),
    "id": Words(
        "Apa yang ingin Anda terima?",
        "Ini adalah pilihan untuk {address}.",
        "Sakelar yang menyala berarti: saya setuju menerima pesan tentang topik ini melalui saluran ini. "
        "Saya dapat mengubahnya kapan saja.",
        "menyala",
        "mati",
        "Simpan pilihan saya",
        "Tidak ada lagi penawaran dan kabar, tentang topik apa pun, di saluran mana pun. "
        "Struk dan jawaban tetap dikirim.",
        "Berhenti dari semuanya",
        "Pilihan Anda sudah disimpan.",
        "Tidak ada yang berubah.",
        "Anda sudah berhenti dari semuanya.",
        "Bahasa halaman ini",
        "Terlalu banyak perubahan",
        "Mohon tunggu beberapa menit lalu buka halaman ini lagi.",
    ),
    "ar": Words(
        "ما الذي تود أن يصلك؟",
        "هذه اختيارات {address}.",
        "المفتاح المفعّل يعني: أوافق على أن تراسلوني بشأن هذا الموضوع عبر هذه القناة. يمكنني تغيير ذلك في أي وقت.",
        "مفعّل",
        "متوقف",
        "حفظ اختياراتي",
        "لا عروض ولا أخبار بعد الآن، في أي موضوع وعبر أي قناة. ستصلك الإيصالات والردود كالمعتاد.",
        "إلغاء الاشتراك من كل شيء",
        "تم حفظ اختياراتك.",
        "لم يتغير شيء.",
        "تم إلغاء اشتراكك من كل شيء.",
        "لغة هذه الصفحة",
        "تغييرات كثيرة جدًا",
        "يرجى الانتظار بضع دقائق ثم فتح الصفحة من جديد.",
    ),
}


def words(locale: str) -> Words:
    """Those of the locale's language."""
    return WORDS[language(locale)]
