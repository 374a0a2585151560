"""The README cannot lie: its generated parts are up to date, its examples are commands, its tables are complete."""

import re
import shlex
import tomllib
from pathlib import Path

import click
import pytest

from oomdb import errors
from oomdb.cli.docs import render_readme
from oomdb.cli.main import oomdb
from oomdb.settings import load_settings

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
EXAMPLES = [
    line.split(" #")[0].strip()
    for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines()
    if line.startswith("oomdb ")
]


def test_the_generated_parts_are_up_to_date() -> None:
    assert render_readme(README) == README, "run scripts/docs"


@pytest.mark.parametrize("name", ["role", "commands", "schema"])
def test_a_generated_part_that_has_no_place_is_an_error(name: str) -> None:
    with pytest.raises(errors.UsageError, match=f"has no '<!-- generated: {name} -->'"):
        render_readme(README.replace(f"<!-- generated: {name} -->", ""))


@pytest.mark.parametrize("line", EXAMPLES)
def test_every_example_is_a_command_that_can_be_parsed(line: str) -> None:
    assert_parses(shlex.split(line)[1:], oomdb, None)


def test_every_example_of_the_help_can_be_parsed() -> None:
    context = click.Context(oomdb, info_name="oomdb")
    for name in oomdb.list_commands(context):
        command = oomdb.get_command(context, name)
        for _, line in getattr(command, "examples", ()):
            words = shlex.split(next(part for part in re.split(" [<|] ", line) if part.startswith("oomdb")))
            assert_parses(words[1:], oomdb, None)


def test_every_exit_code_is_documented() -> None:
    documented = set(map(int, re.findall(r"^\| (\d+) \|", README, re.MULTILINE)))
    classes = [it for it in vars(errors).values() if isinstance(it, type) and issubclass(it, errors.OomdbError)]
    assert {it.exit_code for it in classes} | {0, 3, 130, 143} == documented


def test_the_settings_of_the_example_are_settings(tmp_path: Path) -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    assert tomllib.loads(example)
    file = tmp_path / "oomdb.toml"
    file.write_text(example)
    settings = load_settings(file, commands=oomdb.list_commands(click.Context(oomdb)))
    assert settings.clusters == {"https://api.example.com:6443": "payments-prod"}


def assert_parses(words: list[str], command: click.Command, parent: click.Context | None) -> None:
    context = command.make_context(words[0] if words else "oomdb", list(words), parent=parent, resilient_parsing=False)
    if isinstance(command, click.Group):
        name, inner, rest = command.resolve_command(context, [*context._protected_args, *context.args])
        assert inner is not None, name
        assert_parses(rest, inner, context)
