"""`onevoice brand` and `onevoice block`: which there are, as they are written, their versions, and back to one."""

import json
from typing import Annotated, Any

import typer

from onevoice.cli.options import AsJson, DataDir, group, settings, show

Version = Annotated[int, typer.Argument(help="As `versions` lists it")]


def commands(kind: str, about: str) -> typer.Typer:
    """The group of one kind."""
    app = group(about)
    Name = Annotated[str, typer.Argument(help=f"The {kind}'s name")]

    @app.command("list", help=f"List all {kind}s that were saved.")
    def listed(as_json: AsJson = False, data_dir: DataDir = None) -> None:
        from onevoice import database
        from onevoice.content import parts

        with database.opened(settings(data_dir)) as pool, pool.connect() as connection:
            found = parts.all_parts(connection, kind)
        rows = [{"name": one.name, "version": one.version, "saved_at": one.saved_at} for one in found]
        show(rows, ("name", "version", "saved_at"), f"{kind}s".capitalize(), as_json)

    @app.command("show", help=f"Show a {kind} as it is written.")
    def shown(
        name: Name,
        version: Annotated[int | None, typer.Option(help="Left out: the newest")] = None,
        as_json: AsJson = False,
        data_dir: DataDir = None,
    ) -> None:
        import yaml

        from onevoice import database
        from onevoice.content import parts, standard_blocks
        from onevoice.kernel.errors import NotFound

        with database.opened(settings(data_dir)) as pool, pool.connect() as connection:
            try:
                document: dict[str, Any] = parts.get(connection, kind, name, version).document
            except NotFound:
                if kind != "block" or version is not None:
                    raise
                document = parts.written(standard_blocks.find(name))  # one that is there from the start
        yaml_text = yaml.safe_dump(document, allow_unicode=True, sort_keys=False)
        typer.echo((json.dumps(document, indent=1, ensure_ascii=False) if as_json else yaml_text).rstrip())

    @app.command("versions", help=f"List a {kind}'s versions.")
    def versions(name: Name, as_json: AsJson = False, data_dir: DataDir = None) -> None:
        from onevoice import database
        from onevoice.content import parts

        with database.opened(settings(data_dir)) as pool, pool.connect() as connection:
            rows = parts.versions(connection, kind, name)
        show(rows, ("version", "saved_at"), name, as_json)

    @app.command("revert", help=f"Make a {kind} again what it was in a version; its templates are renewed with it.")
    def reverted(name: Name, version: Version, as_json: AsJson = False, data_dir: DataDir = None) -> None:
        from onevoice import database
        from onevoice.content import templates

        found = settings(data_dir)
        with database.opened(found) as pool, pool.begin() as connection:
            saved, changed = templates.revert_part(connection, kind, name, version, found.clock().now())
        row = {"name": name, "version": saved, "changed": changed}
        show([row], ("name", "version", "changed"), "Reverted", as_json)

    return app


brands = commands("brand", "Brands: list, show, versions, and back to one. `onevoice apply` saves them.")
blocks = commands("block", "Blocks of templates: list, show, versions, and back to one. `onevoice apply` saves them.")
