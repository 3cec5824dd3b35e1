"""What each kind of file has: our fields, their types, and the headers they are known by in the languages of our users.

Headers are compared without case, accents and punctuation: `Data ordine`, `data_ordine` and `DATA-ORDINE` are one.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

NUMBER, AMOUNT, MOMENT, TEXT = "DOUBLE", "DECIMAL(18, 4)", "TIMESTAMPTZ", "VARCHAR"

NOUNS = {NUMBER: "a number", AMOUNT: "an amount", MOMENT: "a time", TEXT: "text"}


@dataclass(frozen=True)
class Field:
    """One of our fields: the type a value must have, the headers it is known by, whether it must be there."""

    kind: str
    headers: str = ""  # separated by spaces
    required: bool = False
    choices: Mapping[str, str] = field(default_factory=dict)  # what may be written: our word, and others for it


NAMES = {
    "user_id": Field(
        TEXT,
        "userid customer_id customerid external_id client_id id_cliente codice_cliente cod_cliente cliente id_client "
        "cod_client client id_pelanggan kode_pelanggan pelanggan",
    ),
    "anonymous_id": Field(TEXT, "anonymousid device_id"),
    "loyalty_card": Field(
        TEXT,
        "card card_id card_number household_id loyalty_id tessera tessera_fedelta numero_tessera carta_fedelta "
        "codice_tessera card_fidelitate nr_card card_de_fidelitate kartu nomor_kartu kartu_anggota nomor_anggota",
    ),
}
"""Identifiers; a row needs at least one of them."""

ADDRESSES = {
    "email": Field(TEXT, "e_mail mail email_address indirizzo_email posta adresa_email alamat_email"),
    "phone": Field(TEXT, "mobile phone_number msisdn telefono cellulare telefon nomor_telepon telepon hp"),
}
"""Further identifiers of a consent, which mailing lists know by its address alone."""

ORDER_ID = Field(
    TEXT,
    "order basket_id order_number order_no transaction_id id_ordine numero_ordine ordine id_comanda nr_comanda comanda "
    "numar_comanda id_pesanan nomor_pesanan no_pesanan pesanan receipt",
    required=True,
)
PRODUCT_ID = Field(
    TEXT,
    "sku item_id product item_code article ean id_prodotto codice_prodotto cod_prodotto articolo codice_articolo "
    "prodotto id_produs cod_produs produs articol id_produk kode_produk produk kode_barang barang",
    required=True,
)
QUANTITY = Field(NUMBER, "qty quantita qta q_ta pezzi cantitate cant jumlah kuantitas")
AT = "timestamp date datetime data data_ora tanggal waktu"

YES = "yes y true 1 si da ya opt_in optin opted_in subscribed confirmed active iscritto abonat berlangganan"
NO = "no n false 0 nu tidak opt_out optout opted_out unsubscribed disiscritto dezabonat berhenti"

CHANNEL = Field(TEXT, "canale canal kanal medium mezzo", required=True)

FIELDS: dict[str, dict[str, Field]] = {
    "customers": {
        **NAMES,
        "updated_at": Field(
            MOMENT,
            "created_at first_at timestamp modified_at data_modifica data_registrazione data_actualizare diperbarui",
        ),
    },
    "orders": {
        **NAMES,
        "order_id": ORDER_ID,
        "ordered_at": Field(
            MOMENT,
            f"{AT} created_at transaction_timestamp order_date purchased_at data_ordine data_acquisto data_comenzii "
            "data_comanda tanggal_pesanan tanggal_transaksi",
            required=True,
        ),
        "product_id": PRODUCT_ID,
        "quantity": QUANTITY,
        "revenue": Field(
            AMOUNT,
            "sales_value amount line_total importo totale_riga importo_riga totale valoare suma total_linie subtotal "
            "total_harga nilai",
        ),
        "price": Field(AMOUNT, "unit_price prezzo prezzo_unitario pret pret_unitar harga harga_satuan"),
        "discount": Field(AMOUNT, "sconto reducere discount_amount diskon potongan"),
        "store_id": Field(TEXT, "store shop negozio id_negozio punto_vendita magazin id_magazin toko id_toko cabang"),
        "till_id": Field(TEXT, "till register pos_id cassa id_cassa casa_de_marcat kasa kasir_id mesin_kasir"),
        "receipt": Field(
            TEXT, "receipt_number receipt_no scontrino numero_scontrino bon bon_fiscal nr_bon struk nomor_struk"
        ),
        "cashier": Field(TEXT, "cashier_id cassiere operatore casier kasir"),
        "currency": Field(TEXT, "valuta moneda mata_uang"),
        "coupon": Field(TEXT, "coupon_code buono codice_buono cupon voucher kupon kode_kupon"),
    },
    "products": {
        "product_id": Field(PRODUCT_ID.kind, f"{PRODUCT_ID.headers} id", required=True),
        "name": Field(
            TEXT, "title product_name nome descrizione nome_prodotto nume denumire nume_produs nama nama_produk", True
        ),
        "brand": Field(TEXT, "marca marchio marca_produs merek merk"),
        "category": Field(TEXT, "product_category categoria categorie kategori"),
        "department": Field(TEXT, "reparto departament departemen"),
        "url": Field(TEXT, "link"),
        "updated_at": Field(MOMENT, "modified_at"),
    },
    "events": {
        **NAMES,
        "event": Field(TEXT, "name event_name evento eveniment peristiwa", required=True),
        "occurred_at": Field(MOMENT, AT, required=True),
        "event_id": Field(TEXT, "message_id messageid id"),
    },
    "refunds": {
        **NAMES,
        "order_id": ORDER_ID,
        "refunded_at": Field(
            MOMENT, f"{AT} returned_at refund_date data_reso data_rimborso data_retur tanggal_retur", required=True
        ),
        "refund_id": Field(TEXT, "return_id id_reso numero_reso id_retur nr_retur nomor_retur"),
        "product_id": Field(PRODUCT_ID.kind, PRODUCT_ID.headers),
        "quantity": QUANTITY,
        "revenue": Field(
            AMOUNT, "amount refund_amount refunded importo rimborso suma valoare jumlah_refund nilai total"
        ),
        "currency": Field(TEXT, "valuta moneda mata_uang"),
    },
    "consents": {
        **NAMES,
        **ADDRESSES,
        "channel": CHANNEL,
        "topic": Field(TEXT, "list lista tema argomento topik subject"),
        "state": Field(
            TEXT,
            "consent status stato consenso stare acord status_izin izin opt_in",
            required=True,
            choices={
                "granted": YES,
                "denied": f"denied refused {NO}",
                "withdrawn": "withdrawn revoked revocato retras",
            },
        ),
        "occurred_at": Field(
            MOMENT, f"{AT} consented_at opt_in_date data_consenso data_acord tanggal_izin", required=True
        ),
        "text": Field(TEXT, "wording consent_text testo text_acord teks"),
        "locale": Field(TEXT, "language lang lingua limba bahasa"),
        "country": Field(TEXT, "paese tara negara"),
        "ip": Field(TEXT, "ip_address indirizzo_ip adresa_ip alamat_ip"),
        "proof": Field(TEXT, "evidence source form prova dovada bukti fonte sursa"),
    },
    "suppression": {
        "channel": CHANNEL,
        "address": Field(
            TEXT, "email e_mail phone mobile indirizzo telefono cellulare adresa telefon alamat", required=True
        ),
        "reason": Field(
            TEXT,
            "motivo motiv alasan",
            choices={
                "bounced": "bounce hard_bounce hardbounce invalid",
                "complained": "complaint spam abuse",
                "unsubscribed": "unsubscribe optout opt_out",
                "manual": "blocked blacklisted",
                "imported": "other",
            },
        ),
        "occurred_at": Field(MOMENT, AT),
    },
}
"""Further columns of customers become traits, of events properties; of the other kinds they are not taken."""


def named_by(kind: str, columns: Collection[str]) -> list[str]:
    """Those of a file's fields that say whose a row is; none where the kind is about nobody."""
    return [name for name in (*NAMES, *ADDRESSES) if name in columns and name in FIELDS[kind]]


def lacking(kind: str, found: set[str]) -> list[str]:
    """What a file of the kind needs and those fields do not give, in words."""
    missing = [name for name, one in FIELDS[kind].items() if one.required and name not in found]
    if kind == "orders" and not {"revenue", "price"} & found:
        missing.append("revenue or price")
    wanted = named_by(kind, FIELDS[kind])
    if wanted and not found.intersection(wanted):
        missing.append(f"one of {', '.join(wanted)}")
    return missing
