"""Where options come from, which source wins, and what they become."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from oomdb.cli.options import Option, Output, command, filter_options, list_options, option
from oomdb.cli.types import INSTANT_OR_SPAN, PATH, RUN, SPAN, ZONE

from .conftest import Run, Show


def test_without_a_word_the_defaults_hold(show: Show) -> None:
    assert show("show") == {
        "db": "output/oomdb.sqlite",
        "output": "output",
        "tz": "None",
        "color": True,
        "verbosity": "normal",
        "settings": "None",
        "now": "2026-01-15 15:00:00+00:00",
        "format": "table",
        "headers": True,
        "limit": None,
        "filters": {
            "clusters": [],
            "namespaces": [],
            "pod": "",
            "types": [],
            "applications": [],
            "components": [],
            "workloads": [],
            "owners": [],
            "since": None,
            "until": None,
            "run": None,
        },
        "time_range": "1 day, 0:00:00",
        "retries": 3,
        "tarballs": False,
        "log_dir": None,
    }


def test_global_options_are_taken_before_and_after_the_command(show: Show) -> None:
    assert show("--output", "a", "show")["output"] == "a"
    assert show("show", "--output", "b")["db"] == "b/oomdb.sqlite"
    assert show("--output", "a", "--db", "x.sqlite", "show", "--output", "b")["output"] == "b"
    assert show("--db", "postgresql://u:p@h/d", "show")["db"] == "postgresql://u:p@h/d"


def test_after_wins_over_before_over_environment_over_file_over_default(
    show: Show, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("oomdb.toml").write_text("[defaults]\noutput = 'from-defaults'\n")
    assert show("show")["output"] == "from-defaults"
    Path("oomdb.toml").write_text("[defaults]\noutput = 'from-defaults'\n[show]\noutput = 'from-table'\n")
    assert show("show")["output"] == "from-table"
    monkeypatch.setenv("OOMDB_OUTPUT", "from-environment")
    assert show("show")["output"] == "from-environment"
    assert show("--output", "before", "show")["output"] == "before"
    assert show("--output", "before", "show", "--output", "after")["output"] == "after"


def test_a_value_that_is_the_default_still_wins_from_the_command_line(
    show: Show, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OOMDB_OUTPUT", "elsewhere")
    assert show("--output", "output", "show")["output"] == "output"


def test_global_options_reach_the_commands_of_groups(run_sample: Run) -> None:
    assert run_sample("--db", "a", "db", "-v", "info") == (0, "a verbose\n", "")
    assert run_sample("--db", "a", "db", "--db", "b", "info", "-q") == (0, "b quiet\n", "")
    Path("oomdb.toml").write_text("[db.info]\ndb = 'c'\n")
    assert run_sample("db", "info") == (0, "c normal\n", "")


def test_an_empty_variable_is_not_set(show: Show, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OUTPUT", "DB", "TZ", "JSON", "LIMIT", "NAMESPACE", "VERBOSE", "NO_COLOR", "NO_TARBALLS", "CONFIG"):
        monkeypatch.setenv(f"OOMDB_{name}", "")
    assert show("show") == show("show", "--output", "output")


def test_a_wrong_variable_does_not_matter_where_the_command_line_speaks(
    show: Show, run_sample: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OOMDB_TZ", "Mars/Base")
    assert show("--tz", "UTC", "show")["tz"] == "UTC"
    assert show("show", "--tz", "UTC")["tz"] == "UTC"
    code, _, err = run_sample("show")
    assert code == 2
    assert "Invalid value for OOMDB_TZ: 'Mars/Base' is not a time zone" in err


def test_every_kind_of_option_is_set_by_the_environment(show: Show, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "NAMESPACE": "team-a, team-b team-*",
        "TIME_RANGE": "6h",
        "RETRIES": "7",
        "NO_TARBALLS": "0",
        "NO_HEADERS": "yes",
        "CSV": "1",
        "LIMIT": "4",
        "QUIET": "1",
        "NO_COLOR": "true",
        "LOG_DIR": "~/logs",
        "SINCE": "1d",
    }.items():
        monkeypatch.setenv(f"OOMDB_{name}", value)
    monkeypatch.setenv("HOME", "/home/me")
    said = show("show")
    assert said["filters"]["namespaces"] == ["team-a", "team-b", "team-*"]
    assert said["filters"]["since"] == "2026-01-14 15:00:00+00:00"
    assert (said["time_range"], said["retries"], said["tarballs"]) == ("6:00:00", 7, True)
    assert (said["headers"], said["format"], said["limit"]) == (False, "csv", 4)
    assert (said["verbosity"], said["color"], said["log_dir"]) == ("quiet", False, "/home/me/logs")


def test_every_kind_of_option_is_set_by_the_settings_file(show: Show) -> None:
    Path("oomdb.toml").write_text(
        """
        [defaults]
        json = true
        quiet = true
        tz = "Europe/Prague"
        [show]
        namespace = ["team-a", "team-b"]
        cluster = "prod-*"
        time-range = "2d"
        retries = 0
        no_tarballs = false
        limit = 9
        since = 2026-01-01T00:00:00Z
        until = 2026-01-02
        run = 42
        """
    )
    said = show("show")
    assert said["filters"]["namespaces"] == ["team-a", "team-b"]
    assert said["filters"]["clusters"] == ["prod-*"]
    assert said["filters"]["since"] == "2026-01-01 00:00:00+00:00"
    assert said["filters"]["until"] == "2026-01-02 00:00:00+00:00"
    assert said["filters"]["run"] == 42
    assert (said["time_range"], said["retries"], said["tarballs"]) == ("2 days, 0:00:00", 0, True)
    assert (said["format"], said["limit"], said["verbosity"], said["tz"]) == ("json", 9, "quiet", "Europe/Prague")


def test_the_settings_file_can_be_named_anywhere(show: Show, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("a.toml").write_text("[defaults]\ndb = 'a'\n")
    Path("b.toml").write_text("[defaults]\ndb = 'b'\n")
    assert show("--config", "a.toml", "show")["db"] == "a"
    assert show("--config", "a.toml", "show", "--config", "b.toml")["db"] == "b"
    monkeypatch.setenv("OOMDB_CONFIG", "b.toml")
    assert (show("show")["db"], show("show")["settings"]) == ("b", "b.toml")


def test_defaults_that_a_command_does_not_have_do_not_disturb_it(run_sample: Run) -> None:
    Path("oomdb.toml").write_text("[defaults]\njson = true\nlimit = 3\nverbose = true\n")
    assert run_sample("narrow") == (0, "() None verbose\n", "")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[show]\nretrys = 3", "oomdb.toml: [show] has no key 'retrys'; did you mean 'retries'? Known: "),
        ("[show]\nretries = '3'", "oomdb.toml: [show] retries: must be a whole number, not '3'."),
        ("[show]\nretries = true", "[show] retries: must be a whole number, not True."),
        ("[show]\ntarballs = 'yes'", "[show] tarballs: must be true or false, not 'yes'."),
        ("[show]\npod = ['a']", "[show] pod: must be a text in quotes, not ['a']."),
        ("[show]\npod = true", "[show] pod: must be a text in quotes, not True."),
        ("[show]\nnamespace = [['a']]", "[show] namespace: must be a text in quotes, not ['a']."),
        ("[show.info]\nx = 1", "[show] has no key 'info'"),
        ("[show]\nconfig = 'x.toml'", "[show] has no key 'config'"),
        ("[show]\nretries = -1", "Invalid value for 'retries' in oomdb.toml: -1 is not in the range x>=0."),
        ("[show]\ntime-range = '1w'", "Invalid value for 'time-range' in oomdb.toml: '1w' is not a time span; use"),
        ("[defaults]\nretries = 3", "An option of one command goes into that command's table."),
        ("[show]\ntarballs = true\nno-tarballs = true", "tarballs and no_tarballs contradict each other; set one."),
        ("[shwo]", "there is no table [shwo]; did you mean 'show'? Known: artifacts, clusters, database, db, def"),
    ],
)
def test_a_wrong_setting_is_refused_with_its_place(text: str, message: str, run_sample: Run) -> None:
    Path("oomdb.toml").write_text(text)
    code, out, err = run_sample("show")
    assert (code, out) == (2, "")
    assert message in err


def test_a_group_has_tables_of_its_commands_only(run_sample: Run) -> None:
    Path("oomdb.toml").write_text("[db]\ninfo = 3\n")
    assert run_sample("db", "info")[2] == (
        "oomdb: error: oomdb.toml: 'db.info' must be a table: write [db.info] and its keys below.\n"
    )


def test_help_does_not_need_the_settings_file(run_sample: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OOMDB_CONFIG", "broken.toml")
    Path("broken.toml").write_text("[[")
    assert run_sample("show", "--help")[0] == 0
    assert run_sample("--help")[0] == 0
    assert run_sample("show")[0] == 2


def test_the_later_of_verbose_and_quiet_wins(show: Show, monkeypatch: pytest.MonkeyPatch) -> None:
    assert show("-v", "show")["verbosity"] == "verbose"
    assert show("-v", "show", "--quiet")["verbosity"] == "quiet"
    assert show("show", "-q", "-v")["verbosity"] == "verbose"
    monkeypatch.setenv("OOMDB_VERBOSE", "0")
    assert show("show")["verbosity"] == "normal"
    monkeypatch.setenv("OOMDB_QUIET", "1")
    assert show("show")["verbosity"] == "quiet"


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"OOMDB_QUIET": "1", "OOMDB_VERBOSE": "1"}, "verbose and quiet contradict each other; set one."),
        ({"OOMDB_QUIET": "maybe"}, "Invalid value for OOMDB_QUIET: 'maybe' is not a valid boolean"),
        ({"OOMDB_NO_HEADERS": "maybe"}, "Invalid value for OOMDB_NO_HEADERS: 'maybe' is not a valid boolean"),
        ({"OOMDB_LIMIT": "0"}, "Invalid value for OOMDB_LIMIT: 0 is not in the range 1<=x<=1000000000."),
        ({"OOMDB_JSON": "1", "OOMDB_CSV": "1"}, "--json and --csv exclude one another; use one."),
        (
            {"OOMDB_DB": "x", "OOMDB_OUTPUT": "~nobody-of-this-name/x"},
            "there is no such user; write the path without ~.",
        ),
    ],
)
def test_a_wrong_variable_is_named(
    variables: dict[str, str], message: str, run_sample: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    code, out, err = run_sample("show")
    assert (code, out) == (2, "")
    assert message in err


def test_the_format_is_taken_from_the_most_explicit_source(show: Show, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("oomdb.toml").write_text("[defaults]\nnl = true\n")
    assert show("show")["format"] == "nl"
    monkeypatch.setenv("OOMDB_TSV", "1")
    assert show("show")["format"] == "tsv"
    assert show("show", "--json")["format"] == "json"
    assert show("show", "-t")["format"] == "table"


def test_two_formats_are_wrong_usage(run_sample: Run) -> None:
    assert run_sample("runs", "--json", "--csv") == (
        2,
        "",
        "oomdb: error: --json and --csv exclude one another; use one.\nTry 'oomdb runs --help'.\n",
    )


def test_filters_become_one_value(show: Show) -> None:
    filters = show(
        *(
            "show",
            "--cluster",
            "prod-*",
            "-n",
            "a,b",
            "--namespace",
            "c",
            "--pod",
            "web;<script>",
            "--type",
            "OOMKilled",
        ),
        *("--application", "shop", "--component", "cart", "--workload", "w1", "--workload", "w2"),
        *("--owner", "@jdoe"),
        *("--since", "7d", "--until", "2026-01-14T12:00:00+02:00", "--run", "latest"),
    )["filters"]
    assert filters == {
        "clusters": ["prod-*"],
        "namespaces": ["a", "b", "c"],
        "pod": "web;<script>",
        "types": ["OOMKilled"],
        "applications": ["shop"],
        "components": ["cart"],
        "workloads": ["w1", "w2"],
        "owners": ["@jdoe"],
        "since": "2026-01-08 15:00:00+00:00",
        "until": "2026-01-14 10:00:00+00:00",
        "run": "latest",
    }


def test_a_command_takes_only_the_filters_it_names(run_sample: Run) -> None:
    assert run_sample("narrow", "--cluster", "a", "--run", "7") == (0, "('a',) 7 normal\n", "")
    assert run_sample("narrow", "--pod", "x")[0] == 2


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--since", "1d", "--until", "2d"), "--since 2026-01-14T15:00:00Z is later than --until 2026-01-13T15:00:00Z"),
        (("--since", "yesterday"), "Invalid value for '--since': 'yesterday' is neither an instant"),
        (("--since", "999999M"), "is longer than a hundred years"),
        (("--time-range", "1w"), "Invalid value for '--time-range': '1w' is not a time span; use a number and a unit"),
        (("--run", "-3"), "'-3' is neither a run's number nor 'latest'; `oomdb runs` lists them."),
        (("--run", "1" * 40), "is neither a run's number"),
        (("--tz", "Europe/Pragu"), "'Europe/Pragu' is not a time zone; did you mean Europe/Prague"),
        (("--tz", "../../etc/passwd"), "is not a time zone; use an IANA name such as Europe/Prague or UTC."),
        (("--tz", "Europe"), "'Europe' is not a time zone"),
        (("--tz", ""), "'' is not a time zone"),
        (("--output", ""), "Invalid value for '--output': a path cannot be empty"),
        (("--limit", "x\x1b[31m"), "'x\\x1b[31m' is not a valid integer range"),
        (("--jsn",), "No such option"),
    ],
)
def test_a_wrong_value_is_wrong_usage_that_says_the_format(
    args: tuple[str, ...], message: str, run_sample: Run
) -> None:
    code, out, err = run_sample("show", *args)
    assert (code, out) == (2, "")
    assert message in err


def test_the_clock_is_read_once() -> None:
    moments = []

    @command("when")
    @filter_options("since", "until")
    def when(filters: object) -> None:
        moments.append(filters)

    assert CliRunner().invoke(when, ["--since", "1d", "--until", "1d"], catch_exceptions=False).exit_code == 0
    assert CliRunner().invoke(when, ["--since", "1d"], obj=datetime(2026, 1, 2, tzinfo=UTC)).exit_code == 0
    first, second = (getattr(filters, "since") for filters in moments)  # noqa: B009  # a value of any type
    assert first == getattr(moments[0], "until")  # noqa: B009
    assert second == datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (SPAN, timedelta(days=1)),
        (INSTANT_OR_SPAN, datetime(2026, 1, 1, tzinfo=UTC)),
        (ZONE, UTC),
        (PATH, Path("x")),
        (RUN, 7),
    ],
)
def test_what_is_converted_already_stays_as_it_is(kind: "click.ParamType[object]", value: object) -> None:
    assert kind.convert(value, None, None) == value


def test_a_shared_default_reaches_an_option_of_another_parameter_name(clean_place: Path) -> None:
    @command("scan")
    @option("-n", "--namespace", "names", multiple=True)
    def scan(names: tuple[str, ...]) -> None:
        click.echo(names)

    (clean_place / "oomdb.toml").write_text("[defaults]\nnamespace = ['a', 'b']\nlimit = 3\n")
    assert CliRunner().invoke(scan, []).output == "('a', 'b')\n"


def test_a_query_is_asked_for_one_row_more_than_is_printed() -> None:
    assert (Output().rows_wanted, Output(limit=5).rows_wanted) == (None, 6)


def test_an_option_without_a_long_name_has_its_parameters_name() -> None:
    @command("sql")
    @list_options
    @option("-p", "parameters", nargs=2, multiple=True)
    def sql(output: Output, parameters: tuple[tuple[str, str], ...]) -> None:
        click.echo(f"{output.format} {parameters}")

    assert [param.envvar for param in sql.params if isinstance(param, Option)][-7] == "OOMDB_PARAMETERS"
    runner = CliRunner(env={"OOMDB_PARAMETERS": "a 1 b 2"})
    assert runner.invoke(sql, []).output == "table (('a', '1'), ('b', '2'))\n"
    assert runner.invoke(sql, ["-p", "c", "3"]).output == "table (('c', '3'),)\n"
    Path("oomdb.toml").write_text("[sql]\nparameters = [['d', '4']]\n")
    assert CliRunner().invoke(sql, []).output == "table (('d', '4'),)\n"
