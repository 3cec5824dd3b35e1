"""The page on which a reader unsubscribes: one question, one button, in the five locales."""

from html import escape

from onevoice.kernel.locales import direction

WORDS = {
    "en": (
        "Unsubscribe",
        "Do you no longer want to receive these messages?",
        "Unsubscribe me",
        "You are unsubscribed. We will not send you these messages any more.",
    ),
    "it": (
        "Annulla l'iscrizione",
        "Non vuoi più ricevere questi messaggi?",
        "Annulla la mia iscrizione",
        "Iscrizione annullata. Non ti invieremo più questi messaggi.",
    ),
    "ro": (
        "Dezabonare",
        "Nu mai doriți să primiți aceste mesaje?",
        "Dezabonați-mă",
        "V-ați dezabonat. Nu vă vom mai trimite aceste mesaje.",
    ),
    "id": (
        "Berhenti berlangganan",
        "Tidak ingin menerima pesan ini lagi?",
        "Hentikan langganan saya",
        "Langganan Anda telah dihentikan. Kami tidak akan mengirim pesan ini lagi.",
    ),
    "ar": (
        "إلغاء الاشتراك",
        "هل لم تعد ترغب في تلقي هذه الرسائل؟",
        "ألغِ اشتراكي",
        "تم إلغاء اشتراكك. لن نرسل إليك هذه الرسائل بعد الآن.",
    ),
}
"""Per locale: title, question, button, confirmation."""

_PAGE = """<!doctype html>
<html lang="{locale}" dir="{direction}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>
body {{ margin: 0; min-height: 100vh; display: grid; place-items: center; background: #f6f7f9; color: #16202c;
  font: 17px/1.6 system-ui, "Segoe UI", "Noto Sans", "Noto Sans Arabic", sans-serif; }}
main {{ max-width: 26rem; margin: 1.25rem; padding: 2rem; background: #fff; border: 1px solid #e1e5ea;
  border-radius: .8rem; text-align: center; }}
h1 {{ font-size: 1.2rem; margin: 0 0 .75rem; }}
p {{ margin: 0 0 1.25rem; }}
p:last-child {{ margin: 0; }}
button {{ font: inherit; padding: .6rem 1.5rem; border: 0; border-radius: .5rem; background: #0b6e6e; color: #fff;
  cursor: pointer; }}
@media (prefers-color-scheme: dark) {{
  body {{ background: #0f151b; color: #e8edf2; }}
  main {{ background: #182029; border-color: #2a3541; }}
  button {{ background: #5cc8c0; color: #0f151b; }}
}}
</style>
</head>
<body><main><h1>{title}</h1>{inside}</main></body>
</html>
"""


def unsubscribe_page(locale: str, done: bool) -> str:
    """The page before and after; `locale` is one of kernel.locales.LOCALES."""
    title, question, button, confirmation = map(escape, WORDS[locale])
    inside = f"<p>{question}</p><form method='post'><button>{button}</button></form>"
    return _PAGE.format(
        locale=locale,
        direction=direction(locale),
        title=title,
        inside=f"<p>{confirmation}</p>" if done else inside,
    )
