"""Arrays as PostgreSQL reads them, for statements that take hundreds of rows at once: psycopg writes them slowly."""

from collections.abc import Iterable


def array(values: Iterable[str]) -> str:
    """The literal of an array of texts, or of what can be read from texts.

    >>> print(array(["a", 'b "c"']), array([]))
    {"a","b \\"c\\""} {}
    """
    joined = '","'.join(found := list(values))
    if not found:
        return "{}"
    if "\\" in joined or joined.count('"') > 2 * (len(found) - 1):
        joined = '","'.join(value.replace("\\", "\\\\").replace('"', '\\"') for value in found)
    return f'{{"{joined}"}}'
