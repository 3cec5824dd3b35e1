"""How long a text is where length is money: an SMS's encoding and parts, and the letters that make it a costly one."""

from dataclasses import dataclass

import smsutil

GSM, UCS = "GSM-7", "UCS-2"


@dataclass(frozen=True)
class Sms:
    """A text as it is sent. One letter outside of GSM-7 makes the parts 70 long in place of 160."""

    characters: int
    encoding: str
    parts: int
    costly: tuple[str, ...]  # the letters that GSM-7 lacks

    @property
    def room(self) -> int:
        """Units (characters, with an escape for some) that one part holds when there is only one."""
        return 160 if self.encoding == GSM else 70


def sms(text: str) -> Sms:
    """How a text would be sent."""
    split = smsutil.split(text)
    is_gsm = split.encoding == "gsm0338"
    costly = () if is_gsm else tuple(dict.fromkeys(letter for letter in text if not smsutil.is_valid_gsm(letter)))
    return Sms(len(text), GSM if is_gsm else UCS, len(split.parts), costly)
