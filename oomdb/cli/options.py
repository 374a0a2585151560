"""Options become objects at the door: commands and groups, their options, and the values that commands work with.

Every option can be set in four places; the first that speaks wins: the command line (after the command, then before
it), the environment (`OOMDB_` and the long name), the settings file, the default. `oomdb --help` loads this module, so
whatever costs is imported where it is used.
"""

import functools
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import click
from click.core import ParameterSource

from oomdb.cli.types import INSTANT_OR_SPAN, PATH, RUN, ZONE, moment_of, split_names
from oomdb.errors import SettingsError, suggest

if TYPE_CHECKING:
    from datetime import tzinfo
    from pathlib import Path

    from oomdb.artifacts.local import ArtifactFolder
    from oomdb.settings import Settings


Verbosity = Literal["quiet", "normal", "verbose"]
Format = Literal["table", "json", "nl", "csv", "tsv"]

_Function = TypeVar("_Function", bound=Callable[..., Any])

DATABASE_NAME = "oomdb.sqlite"
HELP_NAMES = ("-h", "--help")
_FORMATS: dict[Format, str] = {
    "json": "Print a JSON array of objects.",
    "nl": "Print JSON lines: one object a line.",
    "csv": "Print CSV.",
    "tsv": "Print tab-separated values.",
    "table": "Print an aligned table (the default).",
}
_META = "oomdb."  # our keys in click's dictionary that all contexts of one invocation share


# --- what commands receive ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """What the global options say, and the moment at which the command began."""

    database: str = field(repr=False)  # path or URL, which may hold a password: show it through `mask_password`
    output_folder: "Path"
    color: bool  # allowed; whether a stream takes it is `output.paint_for`'s to say
    verbosity: Verbosity
    zone: "tzinfo | None"  # of people's output; None: the system's
    settings: "Settings"
    now: datetime  # UTC

    def artifacts_in(self, output_dir: "Path") -> "ArtifactFolder":
        """Return the artifact files of an output folder, which get the modes of the settings."""
        from oomdb.artifacts.local import ArtifactFolder

        modes = self.settings
        return ArtifactFolder(output_dir, file_mode=modes.artifact_file_mode, folder_mode=modes.artifact_folder_mode)


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """How rows are to be printed."""

    format: Format = "table"
    headers: bool = True
    limit: int | None = None

    @property
    def rows_wanted(self) -> int | None:
        """How many rows a query should give: one more than is printed, so that it shows whether more exist."""
        return None if self.limit is None else self.limit + 1


def pass_app(function: _Function) -> _Function:
    """Hand the command an `App` as `app`."""

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, app=_build_app(click.get_current_context()), **kwargs)

    return wrapper  # type: ignore[return-value]  # it takes the function's arguments less `app`


def list_options(function: _Function) -> _Function:
    """Add the flags of every list, and hand the command an `Output` as `output`."""

    @functools.wraps(function)
    def wrapper(*args: Any, no_headers: bool, limit: int | None, **kwargs: Any) -> Any:
        chosen = _chosen_format({name: kwargs.pop(name) for name in _FORMATS})
        return function(*args, output=Output(format=chosen, headers=not no_headers, limit=limit), **kwargs)

    decorated: _Function = with_options(wrapper, _list_options())
    return decorated


def filter_options(*names: str) -> Callable[[_Function], _Function]:
    """Add the filters with these names (none: all of them), and hand the command a `FindingFilter` as `filters`.

    Names: cluster, namespace, pod, type, application, component, workload, owner, since, until, run.
    """
    options = _filter_options()
    chosen = names or tuple(options)

    def decorate(function: _Function) -> _Function:
        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            given = {name: kwargs.pop(name) for name in chosen}
            return function(*args, filters=_build_filter(given), **kwargs)

        decorated: _Function = with_options(wrapper, [options[name] for name in chosen])
        return decorated

    return decorate


def is_verbose(ctx: click.Context | None) -> bool:
    """Tell whether `-v` holds, as far as the command line was read."""
    return bool(ctx and ctx.meta.get(_META + "verbosity"))


# --- commands -------------------------------------------------------------------------------------------------------


class Command(click.Command):
    """A command that takes the global options too and shows its examples before its options.

    Args:
        examples: pairs of what is done and the command line that does it.
    """

    def __init__(self, *args: Any, examples: Sequence[tuple[str, str]] = (), **attrs: Any) -> None:
        settings = {"help_option_names": list(HELP_NAMES), "max_content_width": 100, "show_default": True}
        attrs["context_settings"] = settings | attrs.get("context_settings", {})
        super().__init__(*args, **attrs)
        self.examples = tuple(examples)
        self.params.extend(_global_options())

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the description, then the examples, on lines as long as they are, so that they can be copied."""
        super().format_help_text(ctx, formatter)
        if self.examples:
            with formatter.section("Examples"):
                for meaning, line in self.examples:
                    formatter.write(f"{'':{formatter.current_indent}}# {meaning}\n")
                    formatter.write(f"{'':{formatter.current_indent}}{line}\n")

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the command's own options, then those that every command takes."""
        own: list[tuple[str, str]] = []
        shared: list[tuple[str, str]] = []
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record and isinstance(param, click.Option):
                (own if isinstance(param, Option) and not isinstance(param, GlobalOption) else shared).append(record)
        for title, records in (("Options", own), ("Global options", shared)):
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)


class Group(Command, click.Group):
    """Commands under one name."""

    command_class = Command
    group_class = type

    def __init__(self, *args: Any, **attrs: Any) -> None:
        super().__init__(*args, no_args_is_help=False, subcommand_metavar="COMMAND …", **attrs)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse what stands before the command; without a command, show the help and fail."""
        if not args and not ctx.resilient_parsing:
            click.echo(ctx.get_help(), err=True)
            ctx.exit(2)
        return super().parse_args(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands, for which people come, then the options."""
        self.format_commands(ctx, formatter)
        super().format_options(ctx, formatter)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that is asked for, or name the nearest one."""
        if self.get_command(ctx, args[0]) is None and not ctx.resilient_parsing:
            ctx.fail(f"there is no command {args[0]!r}; {suggest(args[0], self.list_commands(ctx))}")
        return super().resolve_command(ctx, args)


def command(name: str, **attrs: Any) -> Callable[[Callable[..., Any]], Command]:
    """Make a function a `Command`; `attrs` are click's, and `examples`."""
    return click.command(name, cls=Command, **attrs)


def is_typed(name: str) -> bool:
    """Tell whether an option of the command that runs was given on its command line."""
    return click.get_current_context().get_parameter_source(name) is ParameterSource.COMMANDLINE


def option(*declarations: str, **attrs: Any) -> Callable[[_Function], _Function]:
    """Add an `Option` to a command; `attrs` are click's."""
    return click.option(*declarations, cls=Option, **attrs)


# --- options --------------------------------------------------------------------------------------------------------


class Option(click.Option):
    """An option that the environment and the settings file can set too, under its long name.

    `--plot-range` is `OOMDB_PLOT_RANGE` and `plot-range` (or `plot_range`); of `--tarballs/--no-tarballs` both names
    work. A variable that is empty is not set. Several values in a variable are parted by commas or blanks.
    """

    def __init__(self, *args: Any, **attrs: Any) -> None:
        super().__init__(*args, **attrs)
        self.key = _long_name(self.opts) or str(self.name)
        self.inverse_key = _long_name(self.secondary_opts)
        self.envvar = _variable(self.key)

    @property
    def keys(self) -> tuple[str, ...]:
        """The names under which the settings file may set the option, with `_` for `-`."""
        return tuple(key.replace("-", "_") for key in (self.key, self.inverse_key) if key)

    def value_from_envvar(self, ctx: click.Context) -> Any:
        """Return the text of the variable, split where the option takes several values; None where it is not set."""
        if self.inverse_key:
            return self.read_switches({key: on for key in self.keys if (on := _switch_variable(key)) is not None})
        if self.multiple and self.nargs == 1:
            text = os.environ.get(_variable(self.key))
            return [part for part in re.split(r"[,\s]+", text) if part] if text else None
        return super().value_from_envvar(ctx)

    def read_switches(self, switches: Mapping[str, bool]) -> bool | None:
        """Return what the two names of a switch say together; None where neither is set."""
        said = {switches[key] is (key == self.keys[0]) for key in self.keys if key in switches}
        if len(said) > 1:
            raise click.BadParameter(f"{' and '.join(self.keys)} contradict each other; set one.", param=self)
        return said.pop() if said else None

    def get_error_hint(self, ctx: click.Context | None) -> str:
        """Return the name by which a wrong value was given: the option, the variable, or the setting."""
        source = ctx.get_parameter_source(self.name) if ctx and self.name else None
        if ctx and source is ParameterSource.ENVIRONMENT:
            return " / ".join(_variable(key) for key in (self.key, self.inverse_key) if key)
        if ctx and source is ParameterSource.DEFAULT_MAP:
            return f"'{self.key}' in {ctx.meta[_META + 'settings'].path}"
        return super().get_error_hint(ctx)


class GlobalOption(Option):
    """An option that is taken before and after the command: after it, the word counts more.

    Groups only keep what their part of the command line says; the command resolves it.
    """

    def __init__(self, *args: Any, **attrs: Any) -> None:
        super().__init__(*args, expose_value=False, **attrs)

    def consume_value(self, ctx: click.Context, opts: Mapping[str, Any]) -> tuple[Any, ParameterSource]:
        """Return the value and its source; a value that stands before the command is from the command line too."""
        if self.name in opts:
            return super().consume_value(ctx, opts)
        before = ctx.parent.get_parameter_source(str(self.name)) if ctx.parent else None
        if before is ParameterSource.COMMANDLINE:
            return ctx.meta[_META + str(self.name)], before
        if isinstance(ctx.command, click.Group):
            return self.get_default(ctx), ParameterSource.DEFAULT
        return super().consume_value(ctx, opts)

    def process_value(self, ctx: click.Context, value: Any) -> Any:
        """Convert the value, and keep it for the contexts below and for the `App`."""
        value = super().process_value(ctx, value)
        ctx.meta[_META + str(self.name)] = value
        return value


class _ConfigOption(GlobalOption):
    """`--config`: read before the other options, whose defaults the file gives."""

    def process_value(self, ctx: click.Context, value: Any) -> Any:
        path = super().process_value(ctx, value)
        if not isinstance(ctx.command, click.Group) and not ctx.resilient_parsing:
            from oomdb.settings import load_settings

            root = ctx.find_root().command
            commands = root.list_commands(ctx) if isinstance(root, click.Group) else [str(ctx.info_name)]
            settings = load_settings(path, commands=commands)
            ctx.meta[_META + "settings"] = settings
            ctx.default_map = _build_default_map(ctx, settings)
        return path


class _VerbosityOption(GlobalOption):
    """`-v/-q`: three states, so a variable or setting that says "not verbose" does not say "quiet"."""

    def read_switches(self, switches: Mapping[str, bool]) -> bool | None:
        return super().read_switches({key: on for key, on in switches.items() if on})


# --- the shared options ---------------------------------------------------------------------------------------------


def _global_options() -> list[GlobalOption]:
    return [
        GlobalOption(
            ["--db"],
            metavar="PATH|URL",
            default=None,
            help=f"The database.  [default: {DATABASE_NAME} in the output folder]",
        ),
        GlobalOption(
            ["--output"],
            metavar="DIR",
            type=PATH,
            default="output",
            help="The folder that holds everything: exports, artifacts, database.",
        ),
        GlobalOption(
            ["--tz"],
            metavar="ZONE",
            type=ZONE,
            default=None,
            help="Time zone of what people read.  [default: system's]",
        ),
        GlobalOption(["--no-color"], is_flag=True, default=False, help="No colours."),
        _VerbosityOption(
            ["-v/-q", "--verbose/--quiet", "verbosity"],
            is_flag=True,
            default=None,
            help="Say more, with tracebacks; or errors only.",
        ),
        _ConfigOption(
            ["--config"],
            metavar="FILE",
            type=PATH,
            default=None,
            is_eager=True,
            help="The settings file.  [default: oomdb.toml, if there is one]",
        ),
    ]


def _list_options() -> list[Option]:
    formats = [
        Option([*(("-t",) if name == "table" else ()), f"--{name}"], is_flag=True, default=False, help=text)
        for name, text in _FORMATS.items()
    ]
    return [
        *formats,
        Option(["--no-headers"], is_flag=True, default=False, help="No headers above table, CSV and TSV."),
        Option(
            ["--limit"],
            metavar="N",
            type=click.IntRange(1, 10**9),  # the query asks for one more; SQLite counts to 2**63
            default=None,
            help="Print the first N rows only.",
        ),
    ]


def _filter_options() -> dict[str, Option]:
    def several(*names: str, metavar: str, text: str) -> Option:
        how = "may be repeated, or parted by commas" if "," in metavar else "may be repeated"
        return Option(names, metavar=metavar, multiple=True, help=f"{text}; {how}.")

    def instant(name: str, text: str) -> Option:
        return Option([name], metavar="WHEN", type=INSTANT_OR_SPAN, default=None, help=text)

    return {
        "cluster": several("--cluster", metavar="GLOB", text="Clusters, such as 'prod-*'"),
        "namespace": several("-n", "--namespace", metavar="GLOB,GLOB", text="Namespaces, such as 'team-*'"),
        "pod": Option(["--pod"], metavar="TEXT", default=None, help="Pods that have TEXT in their name."),
        "type": several("--type", metavar="TYPE,TYPE", text="OOMKilled, CrashLoopBackOff, or another detector's type"),
        "application": several("--application", metavar="NAME", text="Applications, by the pods' labels"),
        "component": several("--component", metavar="NAME", text="Components, by the pods' labels"),
        "workload": several("--workload", metavar="NAME", text="Workloads: Deployments, Jobs and other controllers"),
        "owner": several("--owner", metavar="NAME", text="Owners of the namespace, such as '@jdoe'"),
        "since": instant("--since", "From an instant on (2026-01-15T15:00:00Z), or for so long: 7d."),
        "until": instant("--until", "Up to an instant, or to so long ago: 1d."),
        "run": Option(["--run"], metavar="ID|latest", type=RUN, default=None, help="What one run saw."),
    }


def with_options(function: Callable[..., Any], options: Sequence[Option]) -> Any:
    """Return the function with options that exist already, where click's decorator would make them."""
    for ready in reversed(options):
        function = click.option(cls=lambda *_args, ready=ready, **_attrs: ready)(function)  # type: ignore[arg-type]
    return function


def _build_filter(given: Mapping[str, Any]) -> Any:
    from oomdb.queries.filters import FindingFilter
    from oomdb.timespan import format_instant

    since, until = given.get("since"), given.get("until")
    if since and until and since > until:
        raise click.UsageError(
            f"--since {format_instant(since)} is later than --until {format_instant(until)}: nothing lies between them."
        )
    return FindingFilter(
        clusters=given.get("cluster", ()),
        namespaces=split_names("--namespace", given.get("namespace", ())),
        pod=given.get("pod") or "",
        types=split_names("--type", given.get("type", ())),
        applications=given.get("application", ()),
        components=given.get("component", ()),
        workloads=given.get("workload", ()),
        owners=given.get("owner", ()),
        since=since,
        until=until,
        run=given.get("run"),
    )


def _chosen_format(flags: Mapping[Format, bool]) -> Format:
    """Return the format that the most explicit source asks for; two of one source exclude one another."""
    ctx = click.get_current_context()
    for source in (ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT, ParameterSource.DEFAULT_MAP):
        chosen: list[Format] = [name for name, on in flags.items() if on and ctx.get_parameter_source(name) is source]
        if len(chosen) > 1:
            raise click.UsageError(f"{' and '.join(f'--{name}' for name in chosen)} exclude one another; use one.")
        if chosen:
            return chosen[0]
    return "table"


# --- settings, and the App ------------------------------------------------------------------------------------------


def _build_default_map(ctx: click.Context, settings: "Settings") -> dict[str, Any]:
    """Return what the settings file says about the options of the command that is run: its table before [defaults]."""
    from oomdb.cli.owner_options import declare_owner_options  # which are made of this module's
    from oomdb.cli.report_options import declare_report_options

    own = _options_by_key(ctx.command.params)
    filters = _filter_options().values()
    more = (*declare_report_options(), *declare_owner_options())
    shared = _options_by_key([*_global_options(), *_list_options(), *filters, *more])
    reachable = {key: own.get(key, found) for key, found in shared.items()}  # collect has another --namespace
    defaults = _settings_of(settings, table="defaults", values=settings.defaults, options=reachable)
    path = _path_of(ctx)
    table: Any = settings.commands
    for depth, part in enumerate(path, start=1):
        table = table.get(part, {})
        if not isinstance(table, dict):
            name = ".".join(path[:depth])
            raise SettingsError(f"{settings.path}: '{name}' must be a table: write [{name}] and its keys below.")
    commands = _settings_of(settings, table=".".join(path), values=table, options=own)
    own_names = {param.name for param in own.values()}
    return {name: value for name, value in defaults.items() if name in own_names} | commands


def _path_of(ctx: click.Context) -> list[str]:
    """Return the names that lead to a command, without the program's: `db`, `info`."""
    if ctx.parent is None:
        return [str(ctx.info_name)]
    return [*(_path_of(ctx.parent) if ctx.parent.parent else []), str(ctx.info_name)]


def _settings_of(
    settings: "Settings", *, table: str, values: Mapping[str, Any], options: Mapping[str, Option]
) -> dict[str, Any]:
    """Return one table's values by the names of the parameters."""
    result: dict[str, Any] = {}
    switches: dict[Option, dict[str, bool]] = {}
    for key, value in values.items():
        where = f"{settings.path}: [{table}]"
        if key not in options:
            hint = " An option of one command goes into that command's table." if table == "defaults" else ""
            raise SettingsError(f"{where} has no key {key!r}; {suggest(key, options)}{hint}")
        found = options[key]
        checked = _check_setting(found, f"{where} {key}", value)
        if found.inverse_key:
            switches.setdefault(found, {})[key] = checked
        else:
            result[str(found.name)] = checked
    for found, said in switches.items():
        on = found.read_switches(said)
        if on is not None:
            result[str(found.name)] = on
    return result


def _check_setting(found: Option, where: str, value: Any) -> Any:
    """Return a value of the settings file as the option's type takes it from the command line."""
    if found.is_flag:
        if not isinstance(value, bool):
            raise SettingsError(f"{where}: must be true or false, not {value!r}.")
        return value
    if found.multiple or found.nargs != 1:
        items = value if isinstance(value, list) else [value]
        return [_as_text(where, item) if found.nargs == 1 else item for item in items]
    if isinstance(found.type, click.types.IntParamType):
        if not isinstance(value, int) or isinstance(value, bool):
            raise SettingsError(f"{where}: must be a whole number, not {value!r}.")
        return value
    return _as_text(where, value)


def _as_text(where: str, value: Any) -> str:
    from datetime import date

    if isinstance(value, (str, int, float)) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, date):  # datetimes too: TOML has them as types of their own
        return value.isoformat()
    raise SettingsError(f"{where}: must be a text in quotes, not {value!r}.")


def _options_by_key(params: Sequence[click.Parameter]) -> dict[str, Option]:
    """Return the options by the keys of the settings file; that file cannot name another one."""
    options = [param for param in params if isinstance(param, Option) and not isinstance(param, _ConfigOption)]
    return {key: found for found in options for key in found.keys}


def _build_app(ctx: click.Context) -> App:
    said: dict[str, Any] = {
        name: ctx.meta[_META + name] for name in ("db", "output", "tz", "no_color", "verbosity", "settings")
    }
    verbosity: dict[bool | None, Verbosity] = {True: "verbose", False: "quiet", None: "normal"}
    plain = said["no_color"] or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return App(
        database=said["db"] or str(said["output"] / DATABASE_NAME),
        output_folder=said["output"],
        color=not plain,
        verbosity=verbosity[said["verbosity"]],
        zone=said["tz"],
        settings=said["settings"],
        now=moment_of(ctx),
    )


def _long_name(names: Sequence[str]) -> str:
    return next((name[2:] for name in names if name.startswith("--")), "")


def _switch_variable(key: str) -> bool | None:
    text = os.environ.get(_variable(key))
    try:
        return click.BOOL.convert(text, None, None) if text else None
    except click.BadParameter as err:
        raise click.BadParameter(err.message, param_hint=_variable(key)) from err


def _variable(key: str) -> str:
    return f"OOMDB_{key.replace('-', '_').upper()}"
