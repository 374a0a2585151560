"""The generated parts of the README: the role, the help of every command, the schema. Run by `scripts/docs`."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from oomdb.cli.main import oomdb
from oomdb.cli.schema import iter_schema
from oomdb.collect.role import RoleRequest, Subject, render_role
from oomdb.errors import UsageError

README = Path("README.md")
_WIDTH = 100
_ROLE = render_role(RoleRequest(name="oomdb", subject=Subject("ServiceAccount", "oomdb", "oomdb")))  # by default


def render_readme(text: str) -> str:
    """Return the README's text with its generated parts made anew.

    Raises:
        UsageError: if it does not say where they stand.
    """
    parts = {"role": f"```yaml\n{_ROLE}```\n", "commands": "".join(_iter_commands()), "schema": "".join(_iter_tables())}
    for name, part in parts.items():
        marker = re.compile(rf"(<!-- generated: {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        if not marker.search(text):
            raise UsageError(f"{README} has no '<!-- generated: {name} -->' followed by '<!-- end -->'; put them in.")
        text = marker.sub(lambda found, part=part: f"{found[1]}\n{part}\n{found[2]}", text)  # type: ignore[misc]
    return text


def _iter_commands() -> Iterator[str]:
    yield f"```text\n{_help(oomdb, 'oomdb', None)}```\n"
    context = click.Context(oomdb, info_name="oomdb")
    for name in oomdb.list_commands(context):
        found = oomdb.get_command(context, name)
        if found is not None:
            yield from _iter_command(found, name, context)


def _iter_command(found: click.Command, name: str, parent: click.Context) -> Iterator[str]:
    path = f"{parent.command_path} {name}"
    text = _help(found, name, parent)
    # the options that every command takes stand once, above
    text = text.split("\nGlobal options:")[0].rstrip() + "\n"
    yield f"\n<details><summary><code>{path}</code></summary>\n\n```text\n{text}```\n\n</details>\n"
    if isinstance(found, click.Group):
        context = click.Context(found, info_name=name, parent=parent)
        for inner in found.list_commands(context):
            command = found.get_command(context, inner)
            if command is not None:
                yield from _iter_command(command, inner, context)


def _help(found: click.Command, name: str, parent: click.Context | None) -> str:
    settings = {**found.context_settings, "terminal_width": _WIDTH, "max_content_width": _WIDTH}
    context = click.Context(found, info_name=name, parent=parent, **settings)
    return found.get_help(context) + "\n"


def _iter_tables() -> Iterator[str]:
    opened = False
    for name, kind, column, type_, comment in iter_schema():
        if kind == "column":
            yield f"| `{column}` | {type_} | {comment} |\n"
            continue
        if opened:
            yield "\n</details>\n\n"
        opened = kind == "table"
        if kind == "table":
            yield f"<details><summary><code>{name}</code>: {comment}</summary>\n\n"
            yield "| column | type | what it holds |\n|---|---|---|\n"
        else:
            yield f"- View `{name}`: {comment}\n"


def main(arguments: list[str]) -> int:
    """Rewrite the README, or with `--check` return 1 where it lags."""
    old = README.read_text(encoding="utf-8")
    new = render_readme(old)
    if "--check" in arguments:
        if new != old:
            click.echo(f"{README} lags behind the code: run scripts/docs.", err=True)
        return int(new != old)
    README.write_text(new, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
