"""The parts of an import: where files are (`places`), their rows (`files`), what columns mean (`mapping`, `fields`),
which rows can be taken (`checks`), what is made of them (`shapes`), and how far an import has come (`runs`).

`events/importing.py` puts them together.
"""
