"""The blocks that are there from the start: header, products, coupon, loyalty and footer, in five languages.

In MJML each is one or more sections, so it stands directly in the body. What is not known of a customer leaves its part
out, never a gap or a wrong word.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

from onevoice.content.blocks import Block, read
from onevoice.kernel.errors import NotFound

WORDS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "code": "Your code",
        "until": "Valid until",
        "use": "Use it now",
        "points": "one: '# point', other: '# points'",
        "yours": "You have",
        "expire": "of them until",
        "why": "You receive this message because you agreed to hear from us.",
        "unsubscribe": "Unsubscribe",
        "preferences": "Choose what you get",
    },
    "it": {
        "code": "Il tuo codice",
        "until": "Valido fino al",
        "use": "Usalo ora",
        "points": "one: '# punto', other: '# punti'",
        "yours": "Hai",
        "expire": "di cui utilizzabili fino al",
        "why": "Ricevi questo messaggio perché hai accettato le nostre comunicazioni.",
        "unsubscribe": "Annulla l’iscrizione",
        "preferences": "Scegli cosa ricevere",
    },
    "ro": {
        "code": "Codul tău",
        "until": "Valabil până la",
        "use": "Folosește-l acum",
        "points": "one: '# punct', few: '# puncte', other: '# de puncte'",
        "yours": "Ai",
        "expire": "dintre care valabile până la",
        "why": "Primești acest mesaj pentru că ai acceptat să îți scriem.",
        "unsubscribe": "Dezabonare",
        "preferences": "Alege ce primești",
    },
    "id": {
        "code": "Kode Anda",
        "until": "Berlaku hingga",
        "use": "Gunakan sekarang",
        "points": "other: '# poin'",
        "yours": "Anda memiliki",
        "expire": "di antaranya berlaku hingga",
        "why": "Anda menerima pesan ini karena telah setuju menerima kabar dari kami.",
        "unsubscribe": "Berhenti berlangganan",
        "preferences": "Pilih yang Anda terima",
    },
    "ar": {
        "code": "رمزك",
        "until": "صالح حتى",
        "use": "استخدمه الآن",
        "points": "zero: '# نقطة', one: 'نقطة واحدة', two: 'نقطتان', few: '# نقاط', many: '# نقطة', other: '# نقطة'",
        "yours": "لديك",
        "expire": "منها صالحة حتى",
        "why": "تصلك هذه الرسالة لأنك وافقت على تلقي رسائلنا.",
        "unsubscribe": "إلغاء الاشتراك",
        "preferences": "اختر ما يصلك",
    },
}
"""`<points>` are the forms of the filter `plural`."""

FORMS: Mapping[str, Mapping[str, str]] = {
    "header": {
        "mjml": """<mj-section padding="24px"><mj-column>{% if brand.logo %}<mj-text
 align="center" padding="0"><a href="{{ brand.website }}"><img src="{{ brand.logo.url }}" alt="{{ brand.logo.alt }}"
 width="{{ brand.logo.width }}" style="max-width:100%;height:auto"></a></mj-text>{% else %}<mj-text
 align="center" font-size="26px" padding="0">{{ brand.name }}</mj-text>{% endif %}</mj-column></mj-section>""",
        "text": "{{ brand.name }}",
    },
    "products": {
        "mjml": """{% if items.size > 0 %}<mj-section padding="8px 24px"><mj-column><mj-table padding="0"><tr>
{% for product in items limit: most %}{% assign place = forloop.index0 | modulo: columns %}
{% if place == 0 and forloop.index0 > 0 %}</tr><tr>{% endif %}
<td width="{{ 100 | divided_by: columns }}%" style="padding:12px 8px;vertical-align:top">
{% if product.image_url %}<img src="{{ product.image_url }}" alt="{{ product.name }}" width="160"
 style="max-width:100%;height:auto;border-radius:6px">{% endif %}
<div>{% if product.url %}<a href="{{ product.url }}">{{ product.name }}</a>{% else %}{{ product.name }}{% endif %}</div>
{% if product.price and currency and currency != blank %}<div><strong>{{ product.price | money: currency }}</strong></div>{% endif %}
</td>{% endfor %}</tr></mj-table></mj-column></mj-section>{% endif %}""",
        "text": """{% for product in items limit: most %}{% if forloop.first == false %}
{% endif %}- {{ product.name }}{% if product.price and currency and currency != blank %}, {{ product.price | money: currency }}\
{% endif %}{% if product.url %}: {{ product.url | track }}{% endif %}{% endfor %}""",
    },
    "coupon": {
        "mjml": """{% if code and code != blank %}<mj-section padding="8px 24px 24px"><mj-column padding="20px"
 border="2px dashed #8c959f" border-radius="8px">
<mj-text align="center" font-size="34px" font-weight="bold" padding="0">{{ value }}</mj-text>
<mj-text align="center" padding="8px 0">‹code›: <strong>{{ code }}</strong></mj-text>
{% if until and until != blank %}<mj-text align="center" padding="0 0 8px">‹until› {{ until | date: "long" }}</mj-text>{% endif %}
{% if link and link != blank %}<mj-button href="{{ link }}">‹use›</mj-button>{% endif %}
</mj-column></mj-section>{% endif %}""",
        "text": """{% if code and code != blank %}{{ value }} ‹code›: {{ code }}{% if until and until != blank %} (‹until› \
{{ until | date: "short" }}){% endif %}{% if link and link != blank %} {{ link | track }}{% endif %}{% endif %}""",
    },
    "loyalty": {
        "mjml": """{% if points and points != blank %}<mj-section padding="8px 24px"><mj-column>
<mj-text align="center" padding="8px 0">‹yours› <strong>{{ points | plural: ‹points› }}</strong>\
{% if tier and tier != blank %} · {{ tier }}{% endif %}{% if expiring and expiring != blank and until and until != blank %}<br />\
{{ expiring | number }} ‹expire› {{ until | date: "long" }}{% endif %}</mj-text></mj-column></mj-section>{% endif %}""",
        "text": "{% if points and points != blank %}‹yours› {{ points | plural: ‹points› }}{% endif %}",
    },
    "footer": {
        "mjml": """{% assign country = customer.country | default: "" %}\
{% assign postal_address = brand.addresses[country] | default: brand.address %}
<mj-section mj-class="outside" padding="20px 24px"><mj-column><mj-text mj-class="muted" align="center">
‹why›<br />{% if brand.legal and brand.legal != blank %}{{ brand.legal }}<br />{% endif %}\
{% if postal_address and postal_address != blank %}{{ brand.name }}, {{ postal_address }}<br />{% endif %}
<a href="{{ unsubscribe_url }}">‹unsubscribe›</a> · <a href="{{ preferences_url }}">‹preferences›</a>
</mj-text></mj-column></mj-section>""",
        "text": "{{ brand.name }} ‹unsubscribe›: {{ unsubscribe_url }}",
    },
}
"""`‹word›` is taken from WORDS."""

DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "products": {"most": 6, "columns": 1},
    "coupon": {"value": "", "until": "", "link": ""},
    "loyalty": {"tier": "", "expiring": "", "until": ""},
}


def find(name: str) -> Block:
    """The block of that name. Raises NotFound."""
    if name not in FORMS:
        raise NotFound(f"There is no block {name!r}; there are {', '.join(FORMS)} and those you save")
    return _made(name)


@cache
def _made(name: str) -> Block:
    locales = {
        locale: {field: _in_words(form, words) for field, form in FORMS[name].items()}
        for locale, words in WORDS.items()
    }
    return read({"kind": "block", "name": name, "locales": locales, "defaults": DEFAULTS.get(name, {})})


def _in_words(form: str, words: Mapping[str, str]) -> str:
    for name, word in words.items():
        form = form.replace(f"‹{name}›", word)
    return form
