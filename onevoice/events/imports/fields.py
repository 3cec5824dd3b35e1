"""What each kind of file has: our fields, their types, and the headers they are known by in the languages of our users.

Headers are compared without case, accents and punctuation: `Data ordine`, `data_ordine` and `DATA-ORDINE` are one.
"""

from dataclasses import dataclass

NUMBER, AMOUNT, MOMENT, TEXT = "DOUBLE", "DECIMAL(18, 4)", "TIMESTAMPTZ", "VARCHAR"

NOUNS = {NUMBER: "a number", AMOUNT: "an amount", MOMENT: "a time", TEXT: "text"}


@dataclass(frozen=True)
class Field:
    """One of our fields: the type a value must have, the headers it is known by, whether it must be there."""

    kind: str
    headers: str = ""  # separated by spaces
    required: bool = False


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
}
"""Further columns of customers become traits, of events properties; of orders and products they are not taken."""


def lacking(kind: str, found: set[str]) -> list[str]:
    """What a file of the kind needs and those fields do not give, in words."""
    missing = [name for name, one in FIELDS[kind].items() if one.required and name not in found]
    if kind == "orders" and not {"revenue", "price"} & found:
        missing.append("revenue or price")
    if NAMES.keys() <= FIELDS[kind].keys() and not NAMES.keys() & found:
        missing.append(f"one of {', '.join(NAMES)}")
    return missing
