"""Back-tests: a journey run over a past window by the engine's own code, before anybody hears of it.

Nothing of it can leave the machine: what is here takes a warehouse and documents, writes to a scratch one alone, and
imports no channel, no queue and no worker (import-linter sees to it).
"""
