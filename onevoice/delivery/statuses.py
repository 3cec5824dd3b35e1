"""A message's state as a projection over its news, merged by rank: order and repetition of what arrives do not matter.

Rules beyond the rank: a click or a reply is an opening, an opening is a delivery (whoever did it: a mail proxy that
fetches the picture has the message), what machines open or click moves nobody's `opened_at` or `clicked_at`, and a
message whose highest news is a failure was neither delivered nor is it failed once a higher one says that it arrived.
"""

from functools import reduce

import ibis
import ibis.expr.types as ir

from onevoice.delivery.facts import MESSAGES

RANK = (
    "planned",
    "skipped",  # not sent after all: expired, suppressed, consent taken back
    "in_doubt",  # the attempt was cut off
    "accepted",  # the provider has it
    "failed",  # the provider gave up
    "delivered",
    "bounced",  # came back after it had been delivered, as far as was known
    "opened",
    "clicked",
    "replied",
    "unsubscribed",
    "complained",
)
"""What can be heard of a message, each outranking those before it."""

PERSONAL = ("opened", "clicked")
"""News that a machine may cause as well as a person."""

_UNDELIVERABLE = ("failed", "bounced")
_MERGED = (
    "accepted_at",
    "delivered_at",
    "opened_at",
    "clicked_at",
    "replied_at",
    "unsubscribed_at",
    "failed_at",
    "status",
    "error_code",
    "cost",
)


def project(messages: ir.Table, news: ir.Table) -> ir.Table:
    """The messages, each as its news make it. `news` has message_id, news, occurred_at, machine, error_code, cost.

    `news` must be all that was ever heard of these messages.
    """
    known = news.filter(news.news.isin(RANK))
    by_hand = ~(known.machine & known.news.isin(PERSONAL))
    rank = ibis.cases(*((known.news == word, number) for number, word in enumerate(RANK)), else_=0)
    # What a machine opened was delivered, no more.
    counted = ibis.ifelse(by_hand, rank, RANK.index("delivered"))
    marked = known.mutate(by_hand=by_hand, counted=counted)

    def first(*words: str) -> ir.TimestampValue:
        return marked.occurred_at.min(where=marked.news.isin(words) & marked.by_hand)

    reached = ("delivered", "opened", "clicked", "replied", "unsubscribed", "complained")
    summed = marked.group_by("message_id").aggregate(
        rank=marked.counted.max(),
        first_accepted=first("accepted"),
        first_reached=marked.occurred_at.min(where=marked.news.isin(reached)),
        first_opened=first("opened", "clicked", "replied"),
        first_clicked=first("clicked"),
        first_replied=first("replied"),
        first_unsubscribed=first("unsubscribed"),
        first_failed=first(*_UNDELIVERABLE),
        last_error=marked.error_code.max(where=marked.error_code != ""),
        charged=marked.cost.max(),
    )
    bare = messages.drop(*_MERGED)
    joined = bare.left_join(summed, "message_id").drop("message_id_right")
    highest = ibis.coalesce(joined["rank"], 0)
    lost = highest.isin([RANK.index(word) for word in _UNDELIVERABLE])
    nothing = ibis.null("timestamp(6)")
    merged = joined.mutate(
        accepted_at=joined.first_accepted,
        delivered_at=ibis.ifelse(lost, nothing, joined.first_reached),
        opened_at=joined.first_opened,
        clicked_at=joined.first_clicked,
        replied_at=joined.first_replied,
        unsubscribed_at=joined.first_unsubscribed,
        failed_at=ibis.ifelse(lost, joined.first_failed, nothing),
        status=reduce(
            lambda otherwise, number: ibis.ifelse(highest == number, RANK[number], otherwise),
            range(1, len(RANK)),
            ibis.literal(RANK[0]),
        ),
        error_code=joined.last_error,
        cost=joined.charged.cast("decimal(18, 4)"),
    )
    return merged.select(*MESSAGES.columns)
