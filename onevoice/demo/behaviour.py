"""How the simulated customers behave: pure, seeded, and an assumption throughout, not a finding.

What the demo shows as lift is the lift of these rules. They know nothing of the hold-out: each dormant customer comes
back by themselves with the same small probability, and reading a message adds to it. So the treated buy more only
because, and as far as, messages reach and move them.
"""

from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from random import Random

from onevoice.demo.synthetic import SEED, Person


@dataclass(frozen=True)
class Behaviour:
    """The assumed probabilities. How likely a person is to open at all is their own (`synthetic.Person.reads`)."""

    returns_anyway: float = 0.06  # buys within the window without any message
    click_after_open: float = 0.40
    buy_after_open: float = 0.05
    buy_after_click: float = 0.35
    unsubscribe_after_open: float = 0.03
    ignored_unsubscribe: float = 0.005  # unsubscribes without opening, from the mail program's own button
    uses_web: float = 0.3  # of the purchases of those who have an account; the others go to the till

    def sentence(self) -> str:
        """The assumptions in one line, for the output."""
        return ", ".join(f"{f.name.replace('_', ' ')} {getattr(self, f.name):.1%}" for f in fields(self))


ASSUMED = Behaviour()

DELAY_MEDIAN = {"email": timedelta(hours=4), "push": timedelta(minutes=25), "sms": timedelta(minutes=12)}
"""After how long half of the readers have opened."""


@dataclass(frozen=True, order=True)
class Reaction:
    """What a customer does, when. `message` is what it is done to; empty for a purchase."""

    at: datetime
    household: int
    kind: str  # open, click, unsubscribe, buy
    message: str = ""
    channel: str = ""
    coupon: bool = False  # the purchase uses the message's coupon


def to_message(
    who: Person, channel: str, message: str, received_at: datetime, behaviour: Behaviour = ASSUMED, seed: int = SEED
) -> list[Reaction]:
    """What a person does about one message, in order of time. The same message gives the same reactions."""
    random = Random(f"{seed}:{who.household}:{channel}")  # noqa: S311 - data, not secrets
    drawn = [random.random() for _ in range(5)]
    opened_at = received_at + DELAY_MEDIAN[channel] * random.lognormvariate(0, 0.8)
    if drawn[0] >= who.reads[channel]:
        if channel == "email" and drawn[1] < behaviour.ignored_unsubscribe:
            return [Reaction(opened_at, who.household, "unsubscribe", message, channel)]
        return []
    # An SMS shows its text without a sign of it; only the click is seen.
    reactions = [] if channel == "sms" else [Reaction(opened_at, who.household, "open", message, channel)]
    bought_at = opened_at + timedelta(hours=random.uniform(2, 48))
    if drawn[2] < behaviour.click_after_open:
        clicked_at = opened_at + timedelta(seconds=random.uniform(8, 300))
        reactions.append(Reaction(clicked_at, who.household, "click", message, channel))
        if drawn[3] < behaviour.buy_after_click:
            reactions.append(Reaction(bought_at, who.household, "buy", coupon=True))
    elif drawn[4] < behaviour.unsubscribe_after_open:
        left_at = opened_at + timedelta(seconds=45)
        reactions.append(Reaction(left_at, who.household, "unsubscribe", message, channel))
    elif drawn[3] < behaviour.buy_after_open:
        reactions.append(Reaction(bought_at, who.household, "buy"))
    return reactions


def unprompted(
    who: Person, start: datetime, length: timedelta, behaviour: Behaviour = ASSUMED, seed: int = SEED
) -> list[Reaction]:
    """The purchase that would have happened anyway, in the hold-out as among the treated."""
    random = Random(f"{seed}:{who.household}:unprompted")  # noqa: S311
    if random.random() >= behaviour.returns_anyway:
        return []
    return [Reaction(start + length * random.random(), who.household, "buy")]
