"""Commands whose argument is an ID that may begin with "-"."""

import re
from typing import Final

import click

# Ids are base64url or the like. Two characters could be a mistyped short option, and
# a short word after "--" a mistyped long one: those stay usage errors.
_DASHED_ID: Final = re.compile(r"-(?!-)\S{2,}|--\S{20,}")


class TakesId(click.Command):
    """A command whose arguments may begin with "-" without a "--" before them."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Move the arguments behind "--", in their order, if one begins with "-"."""
        if "--" in args:
            return super().parse_args(ctx, args)
        options = {
            name: parameter
            for parameter in self.get_params(ctx)
            if isinstance(parameter, click.Option)
            for name in parameter.opts
        }
        kept: list[str] = []
        ids: list[str] = []
        waiting = dashed = False
        for arg in args:
            option = options.get(arg)
            is_id = not waiting and option is None and _is_id(arg, options)
            dashed = dashed or is_id
            if is_id or not (waiting or arg.startswith("-")):
                ids.append(arg)
            else:
                kept.append(arg)
            waiting = not waiting and option is not None and not option.is_flag
        return super().parse_args(ctx, [*kept, "--", *ids] if dashed else args)


def _is_id(arg: str, options: dict[str, click.Option]) -> bool:
    if _DASHED_ID.fullmatch(arg) is None or arg.partition("=")[0] in options:
        return False
    # "-cgateway.yaml" is an option with its value; an id has neither "." nor "/".
    return arg[:2] not in options or not ("." in arg or "/" in arg)
