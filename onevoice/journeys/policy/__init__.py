"""The contact policy: the one place where it is decided whether somebody is contacted, on this channel, now.

Rules in the order in which they are asked (`RULES`); the first that objects is the reason:

1. `already_reached`: they have reacted to what would be said
2. `control_group`: no journey contacts them, so that the effect of all can be measured
3. `unreachable`: no address on the channel
4. `suppressed`: the address is on the suppression list
5. `no_consent`: customers.consent.rule does not permit (channel, topic); silence is not a consent
6. `expired`: it was put off, and for too long
7. `over_cap`: as many messages as a cap allows were planned in its window; put off until the first leaves it
8. `too_soon`: the gap after the last message is not over; put off until it is
9. `quiet_hours`: it is night where the customer lives; put off until it is over
10. `outranked`: a better message of their day takes the last place under a cap; put off until that one is decided

Who passes is `allowed`. What would be put off for longer than the policy's patience is denied at once, for the same
reason. A transactional message is asked 1, 3, 4 (an address that is dead or complained) and 6 alone. Every decision
keeps what the rules saw. A worker asks 4, 5 and 9 once more before it sends, and whether the message has expired.
"""

from onevoice.journeys.policy.ask import Ask, Contender, House, asked, house, next_message
from onevoice.journeys.policy.decide import RULES, decide
from onevoice.journeys.policy.seen import seen

__all__ = ["RULES", "Ask", "Contender", "House", "asked", "decide", "house", "next_message", "seen"]
