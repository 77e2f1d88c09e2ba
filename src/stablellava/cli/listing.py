"""Verbs: backends, assets."""

from stablellava.cli.options import JsonOption


def list_backends(as_json: JsonOption = False) -> None:
    """List backends by kind and name, third-party ones included.

    Example: stablellava backends list --json
    """
    from rich.table import Table

    from stablellava.backends import catalog
    from stablellava.cli.output import print_result

    found = catalog.list_backends()
    table = Table("kind", "name", "class")
    for key, target in sorted(found.items()):
        kind, _, name = key.partition(".")
        table.add_row(kind, name, target)
    print_result({"backends": found}, as_json, table)
