"""Groups of verbs in which one verb need not be named."""

from typing import Any

from typer.core import TyperGroup


def group_with_default(default_verb: str) -> type[TyperGroup]:
    """Return a group that puts the verb before arguments that begin with no verb of the group."""

    class GroupWithDefault(TyperGroup):
        def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
            names_verb = bool(args) and (args[0] in self.commands or args[0] in ctx.help_option_names)
            return super().parse_args(ctx, args if names_verb or not args else [default_verb, *args])

    return GroupWithDefault
