"""The entry: what is listed and loaded, and how every ending looks."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import pytest

from oomdb.cli.main import COMMANDS, Entry, LazyGroup, oomdb, run
from oomdb.cli.options import Command, GlobalOption, Group, Option
from oomdb.version import __version__

from .conftest import Run
from .sample_commands import ENTRIES, sample

FULL = Path("/dev/full")


def walk(group: click.Group, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], click.Command]]:
    found: list[tuple[tuple[str, ...], click.Command]] = []
    ctx = click.Context(group)
    for name in group.list_commands(ctx):
        command = group.get_command(ctx, name)
        assert command is not None
        found.append(((*path, name), command))
        if isinstance(command, click.Group):
            found += walk(command, (*path, name))
    return found


@pytest.mark.parametrize(("entries", "group"), [(COMMANDS, oomdb), (ENTRIES, sample)])
def test_the_table_says_of_each_command_what_it_says_itself(entries: Sequence[Entry], group: LazyGroup) -> None:
    ctx = click.Context(group)
    for entry in entries:
        command = group.get_command(ctx, entry.name)
        assert command is not None
        assert (entry.name, entry.help) == (command.name, command.get_short_help_str(limit=200))


@pytest.mark.parametrize("group", [oomdb, sample])
def test_every_option_of_every_command_can_be_set_in_the_house_manner(group: LazyGroup) -> None:
    for path, command in walk(group):
        assert isinstance(command, Command), path
        assert sum(isinstance(param, GlobalOption) for param in command.params) == 6, path
        for param in command.params:
            assert isinstance(param, (Option, click.Argument)), (path, param.name)
            if isinstance(param, Option):
                assert param.envvar == f"OOMDB_{param.key.replace('-', '_').upper()}", path
        keys = [key for param in command.params if isinstance(param, Option) for key in param.keys]
        assert len(keys) == len(set(keys)), path


def test_the_help_of_the_group_has_sections_and_loads_no_command(
    run_sample: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    unloadable = LazyGroup([Entry("x", "no_such_module:x", "Do x.", "Care")], name="oomdb")
    assert run(["--help"], group=unloadable) == 0
    assert "Care:\n  x  Do x.\n" in capsys.readouterr().out
    code, out, _ = run_sample("-h")
    assert code == 0
    assert "Lists:\n  runs    List the runs.\n  show    Print what the options became.\n" in out
    assert "Database:\n  fail    End as it is told.\n  db      Care for the database.\n" in out
    assert out.index("Lists:") < out.index("Database:") < out.index("Global options:")


def test_examples_stand_before_the_options(run_sample: Run) -> None:
    code, out, _ = run_sample("runs", "-h")
    assert code == 0
    assert "Examples:\n  # the last five runs as JSON\n  oomdb runs --limit 5 --json\n" in out
    assert out.index("List the runs.") < out.index("Examples:") < out.index("\nOptions:") < out.index("Global options:")
    assert out.index("--limit") < out.index("Global options:") < out.index("--config") < out.index("-h, --help")


def test_groups_have_help_too(run_sample: Run) -> None:
    code, out, _ = run_sample("db", "-h")
    assert code == 0
    assert "Commands:\n  info  About the database.\n" in out


@pytest.mark.parametrize("args", [(), ("db",)])
def test_without_a_command_the_help_is_shown_and_the_exit_code_is_2(args: tuple[str, ...], run_sample: Run) -> None:
    code, out, err = run_sample(*args)
    assert (code, out) == (2, "")
    assert err.startswith("Usage: oomdb")


def test_the_version_is_shown(run_sample: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"oomdb {__version__}\n"


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("rums",), "there is no command 'rums'; did you mean 'runs'? Known: db, fail, many, narrow, runs, show."),
        (("db", "inof"), "there is no command 'inof'; did you mean 'info'? Known: info."),
        (("\x1b[31m",), "there is no command '\\x1b[31m'; known: db,"),
        (("-v",), "Missing command."),
        (("--nonsense", "runs"), "No such option"),
        (("runs", "extra"), "Got unexpected extra argument (extra)"),
    ],
)
def test_wrong_usage_is_one_line_and_a_hint(args: tuple[str, ...], message: str, run_sample: Run) -> None:
    code, out, err = run_sample(*args)
    assert (code, out) == (2, "")
    first, hint = err.splitlines()
    assert first.startswith(f"oomdb: error: {message}")
    assert hint.startswith("Try 'oomdb")


def test_an_error_of_oomdb_is_one_line(run_sample: Run) -> None:
    assert run_sample("fail", "usage") == (2, "", "oomdb: error: 'output' does not do; use another.\n")


def test_candidates_are_listed_on_their_lines(run_sample: Run) -> None:
    assert run_sample("fail", "list") == (
        2,
        "",
        "oomdb: error: 'a' matches several contexts:\n  prod-a\n  prod-\\x1b[31mb\n",
    )


def test_an_unexpected_error_is_one_line_without_the_password(run_sample: Run) -> None:
    assert run_sample("fail", "secret") == (
        1,
        "",
        "oomdb: error: unexpected ValueError: cannot reach postgresql+psycopg://me:***@db/oomdb; "
        "run with -v for the traceback\n",
    )


def test_the_traceback_is_shown_with_v(run_sample: Run) -> None:
    code, _, err = run_sample("fail", "secret", "-v")
    assert code == 1
    assert err.startswith("Traceback (most recent call last):\n")
    assert err.endswith("oomdb: error: unexpected ValueError: cannot reach postgresql+psycopg://me:***@db/oomdb\n")
    assert "://me:***@db/oomdb" in err.splitlines()[-2]


def test_an_error_of_the_system_names_the_file(run_sample: Run) -> None:
    assert run_sample("fail", "file") == (
        1,
        "",
        "oomdb: error: No such file or directory: x/y\\n.txt; run with -v for the traceback\n",
    )


@pytest.mark.parametrize(("how", "code"), [("0", 0), ("3", 3), ("4", 4), ("interrupt", 130), ("pipe", 141)])
def test_the_exit_code_is_the_commands(how: str, code: int, run_sample: Run) -> None:
    assert run_sample("fail", how)[0] == code


def test_an_interrupt_is_said(run_sample: Run) -> None:
    assert run_sample("fail", "interrupt")[1:] == ("", "oomdb: interrupted\n")


# --- as real processes ----------------------------------------------------------------------------------------------


def sample_process(*args: str, **options: Any) -> "subprocess.Popen[bytes]":
    """Start the sample's command line as its console script would."""
    package = sample.entries["runs"].target.rpartition(".")[0]
    tests = Path(__file__).parents[package.count(".") + 1]
    code = (
        f"import sys; sys.path.insert(0, {str(tests)!r}); import oomdb.cli.main as m; "
        f"from {package}.sample_commands import sample; m.main(group=sample)"
    )
    return subprocess.Popen([sys.executable, "-c", code, *args], stderr=subprocess.PIPE, **options)


def test_the_console_script_runs() -> None:
    script = Path(sys.executable).with_name("oomdb")
    done = subprocess.run([script, "--version"], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == (f"oomdb {__version__}\n", "")


def test_starting_up_loads_click_and_little_else() -> None:
    code = (
        "import sys, click; before = set(sys.modules); from oomdb.cli.main import run; "
        "run(['--help']); print(sorted(set(sys.modules) - before), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = ("sqlalchemy", "alembic", "pandas", "msgspec", "rich", "tabulate", "urllib3", "tomllib", "zoneinfo", "json")
    assert not [name for name in heavy if f"'{name}'" in done.stderr]


def test_a_reader_that_goes_ends_the_command_quietly() -> None:
    with sample_process("many", "--csv", stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"n,text\n"
        process.stdout.close()
        assert (process.stderr.read(), process.wait()) == (b"", 141)


def test_a_reader_that_was_never_there_ends_the_command_quietly() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with sample_process("runs", "--json", stdout=writer) as process:
        os.close(writer)
        assert process.stderr is not None
        assert (process.stderr.read(), process.wait()) == (b"", 141)


@pytest.mark.parametrize("args", [("runs", "--json"), ("many", "--nl"), ("--help",)])
def test_a_full_disk_is_an_error(args: tuple[str, ...]) -> None:
    with FULL.open("wb") as full, sample_process(*args, stdout=full) as process:
        assert process.stderr is not None
        message = process.stderr.read().decode()
        assert process.wait() == 1
    assert len(message.splitlines()) == 1
    assert message.startswith("oomdb: error: ")
    assert "No space left on device" in message


def test_a_closed_stdout_is_an_error() -> None:
    with sample_process("runs", preexec_fn=lambda: os.close(1)) as process:
        assert process.stderr is not None
        assert process.stderr.read() == b"oomdb: error: standard output is closed; nothing can be printed.\n"
        assert process.wait() == 1


def test_letters_that_the_terminal_does_not_know_are_escaped() -> None:
    env = os.environ | {"PYTHONIOENCODING": "ascii"}
    with sample_process("runs", "--no-headers", stdout=subprocess.PIPE, env=env) as process:
        out, err = process.communicate()
    assert (process.returncode, err) == (0, b"")
    assert out.decode("ascii").splitlines()[-1].split() == ["=cmd|x", "\\u2013"]


def test_the_shell_can_complete_names(tmp_path: Path) -> None:
    env = os.environ | {"_OOMDB_COMPLETE": "bash_complete", "COMP_WORDS": "oomdb ru", "COMP_CWORD": "1"}
    with sample_process(stdout=subprocess.PIPE, env=env) as process:
        out, err = process.communicate()
    assert (process.returncode, out, err) == (0, b"plain,runs\n", b"")


def test_nested_groups_are_of_the_house_too() -> None:
    group = Group("outer")

    @group.group("inner")
    def inner() -> None:
        """Inner."""

    @inner.command("leaf")
    def leaf() -> None:
        """Leaf."""

    assert isinstance(inner, Group)
    assert isinstance(leaf, Command)
