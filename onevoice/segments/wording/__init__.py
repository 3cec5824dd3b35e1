"""The words of segments' sentences, one file per locale, each with the same keys; how they are put together is in
`sentence.py`. A count has the plural forms of its language (CLDR), in which `{n}` is the number."""

from dataclasses import dataclass

Forms = dict[str, str]
"""A text by plural category: one, two, few, many, other."""


@dataclass(frozen=True)
class Words:
    """One language."""

    quotes: tuple[str, str]
    marks: tuple[str, str]  # between thousands, before the fraction
    months: tuple[str, ...]
    phrases: dict[str, str]
    units: dict[str, Forms]  # a length of time, in the case that prepositions want
    lately: dict[str, Forms]  # "in the last ..."
    counts: dict[str, Forms]  # {n} things; {name} where they have one
    plurals: dict[str, str]  # things, without a number
    singles: dict[str, str]  # a thing
    values: dict[str, str]  # words of documents: states, groups, weeks and months
