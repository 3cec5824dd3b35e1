"""Turns the till's abbreviations into words a customer can read: `FRZN MEAT` → `Frozen meat`."""

import re
from functools import cache

WORDS = {
    "ACC": "accessories", "BD": "baked", "BEERALEMALT": "beer, ale, malt", "BKD": "baked", "BN": "beans",
    "BR": "bread", "BRD": "bread", "BRKFST": "breakfast", "BTL": "bottle", "BTR": "butter", "CAR": "",
    "CARB": "sparkling", "CATFD": "cat food", "CATSUP": "ketchup", "CHICK": "chicken", "CHIX": "chicken",
    "CHOC": "chocolate", "CHOCOCLATE": "chocolate", "CKYS": "cookies", "CLEANG": "cleaning", "CNDY": "candy",
    "COCO": "cocoa", "CONC": "concentrate", "CRBNTD": "carbonated", "CRKR": "crackers", "CRMD": "creamed",
    "CRYSTL": "crystal", "DISPOSIBLE": "disposable", "DNR": "dinner", "DNRS": "dinners", "DRNK": "drink",
    "DRNKING": "drinking", "DRNKNG": "drinking", "DRNKS": "drinks", "DRSNG": "dressing", "DSH": "dishes", "ET": "",
    "EX": "", "EXACT": "", "EXCP": "", "FD": "food", "FEM": "feminine", "FLVRD": "flavored", "FRZ": "frozen",
    "FRZN": "frozen", "GDS": "goods", "GRND": "ground", "HBC": "care", "HYGN": "hygiene", "INCL": "", "INCLUDING": "",
    "IQF": "", "IWS": "wrapped", "JCE": "juice", "MACH": "machine", "MFG": "maker", "MISC": "other", "MIXS": "mixes",
    "MLT": "multi", "MNERAL": "mineral", "MNRL": "mineral", "MW": "microwave", "MXS": "mixes", "NDAIRY": "non-dairy",
    "OJ": "orange juice", "PICANTEE": "picante", "PK": "pack", "PKG": "packaged", "PKGD": "packaged",
    "PKLD": "pickled", "PNT": "peanut", "PREM": "premium", "PREP": "prepared", "PWDR": "powder",
    "REFRGRATD": "refrigerated", "REFRIG": "refrigerated", "REG": "regular", "RTS": "ready to serve", "RW": "",
    "SALD": "salad", "SAUCESSALSAPICANTEE": "sauces, salsa, picante", "SAUS": "sausage", "SFT": "soft",
    "SGL": "single", "SNDWCH": "sandwich", "SNGL": "single", "SNKS": "snacks", "SOD": "soda",
    "SPECILATY": "specialty", "SPLY": "supplies", "SPRD": "spreads", "SRV": "serve", "SS": "single serve",
    "SUP": "super", "SUPPPLIES": "supplies", "SV": "serve", "SW": "sweet", "SWEETNERS": "sweeteners",
    "TISS": "tissue", "TORT": "tortilla", "TRSH": "trash", "VEG": "vegetable", "WAT": "water", "WATE": "water",
    "WHL": "whole", "WHLSM": "wholesome", "WT": "", "WTR": "water",
}  # fmt: skip
"""What the till's short words mean; those with no meaning to a customer are left out."""

NO_NOUN = {
    "PREMIUM", "PRIMAL", "LEAN", "CHOICE", "SELECT", "TRADITIONAL", "MAINSTREAM", "ENHANCED", "ECONOMY", "REGULAR",
    "GARDEN", "PLUS", "PINTS", "SUPER", "BLENDS", "ENTREES", "SPECIALTY", "MISCELLANEOUS", "PROCESSED", "PREPARED",
    "NATURAL", "ANGUS", "PATTIES", "SMOKED", "COOKED", "STICKS", "ENROBED", "MEAT",
}  # fmt: skip
"""Words that name a product only together with its category."""

UNITS = {
    "OZ": "oz",
    "GA": "gal",
    "LB": "lb",
    "L": "l",
    "CT": "count",
    "DZ": "dozen",
    "PK": "pack",
    "ML": "ml",
    "QT": "qt",
}


@cache
def readable(text: str) -> str:
    """The till's text in sentence case, its abbreviations written out, what is cut off or in brackets left out."""
    text = re.sub(r"\([^)]*\)?", " ", text)
    parts = re.split(r"\s*([/:&,]|\s-\s?|-\s)\s*", text)
    words: list[str] = []
    for part in parts:
        if part.strip() in {"/", ":", ",", "-"}:
            words.append(",")
        elif part == "&":
            words.append("and")
        else:
            words += [WORDS.get(word, word.lower()) for word in part.split()]
    words = [word for word in words if word and (len(word) > 1 or word in "0123456789,")]
    joined = re.sub(r"(\s*,)+", ",", " ".join(words)).strip(" ,")
    joined = re.sub(r"(, )?and( and)*$|^and ", "", joined).strip(" ,")
    return joined[:1].upper() + joined[1:]


def category_name(category: str | None, product_type: str | None, department: str) -> str:
    """A category in words; petrol, which the data files under coupons, is fuel."""
    if "GASOLINE" in (product_type or "") or department == "FUEL":
        return "Fuel"
    return readable(category or department)


def product_name(category: str | None, product_type: str | None, package: str | None, department: str) -> str:
    """A product in words: its type, its category where that says too little, its size where it is known."""
    named = category_name(category, product_type, department)
    kind = readable(product_type or "")
    if not kind:
        kind = named
    elif set(re.findall(r"[A-Z]+", product_type or "")) <= NO_NOUN:
        kind = f"{named}, {kind[0].lower()}{kind[1:]}"
    size = re.fullmatch(r"([\d.]+) ([A-Z]+)", package or "")
    # The size of loose produce is that of the grower's case.
    if size is None or size[2] not in UNITS or department == "PRODUCE":
        return kind
    return f"{kind}, {size[1]} {UNITS[size[2]]}"
