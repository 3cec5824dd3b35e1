"""Quiet hours that the law asks for, each with where we read it. Not legal advice; a shop adds its own.

Hours in which marketing may be sent are law for calls and texts, not for e-mail. Where several states of a country
narrow its window, the windows add up. Stricter rules that we have not read (such as Rhode Island's) are not here.
"""

from onevoice.customers.contact.quiet import Quiet

BY_PHONE = ("sms", "call", "whatsapp", "rcs")
"""Channels that reach a phone as a text or a call."""

_TCPA = "47 CFR 64.1200(c)(1): calls and texts 8:00 to 21:00 by the called party's clock"
_STATES = "state telephone solicitation act, 8:00 to 20:00 (referrizer.com, TCPA quiet hours by state)"

LAWS: tuple[Quiet, ...] = (
    Quiet("21:00", "08:00", country="US", channels=BY_PHONE, source=_TCPA),
    Quiet("20:00", "08:00", country="US", region="FL", channels=BY_PHONE, source=f"Florida, {_STATES}"),
    Quiet("20:00", "08:00", country="US", region="OK", channels=BY_PHONE, source=f"Oklahoma, {_STATES}"),
    Quiet("20:00", "08:00", country="US", region="MD", channels=BY_PHONE, source=f"Maryland, {_STATES}"),
    Quiet(
        "00:00",
        "12:00",
        country="US",
        region="TX",
        on=("sunday",),
        channels=BY_PHONE,
        source="Texas, telephone solicitation on Sundays 12:00 to 21:00 only (referrizer.com)",
    ),
    Quiet("22:00", "08:00", country="IT", channels=BY_PHONE, source="Italy: twilio.com/en/guidelines/it/sms"),
    Quiet(
        "00:00",
        "24:00",
        country="IT",
        on=("sunday",),
        channels=BY_PHONE,
        source="Italy, no marketing on Sundays: twilio.com/en/guidelines/it/sms",
    ),
    Quiet("21:00", "07:00", country="AE", channels=BY_PHONE, source="UAE: twilio.com/en/guidelines/ae/sms"),
)
