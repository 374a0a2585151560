#!/usr/bin/env python3
"""The legacy script's name and arguments for `oomdb collect --report`, so that a cron line changes by its path alone.

Exit codes as they were: 0 done, 1 anything else, also wrong usage and --help; an interruption stays 130.
"""

import sys

try:
    from oomdb.cli.main import main
except ModuleNotFoundError as err:
    sys.exit(f"oomdb is not installed for {sys.executable} ({err}): run this script with the Python that has it.")

FROM_DIR = "--print-summary-from-dir"


def translate(args: list[str]) -> list[str]:
    """Return the arguments of the oomdb command that does what the legacy script did."""
    if {"-h", "--help"} & {*args}:
        return ["collect", "--help"]
    if FROM_DIR in args:
        after = args[args.index(FROM_DIR) + 1 :][:1]
        folder = [name for name in after if not name.startswith("-")] or value_of("--output", args) or ["output"]
        kept = [(it, value_of(it, args)) for it in ("--plot-range", "-c", "--codeowners-dir", "--codeowners-repo")]
        return ["report", "--from-dir", *folder, *(part for name, value in kept if value for part in (name, *value))]
    return ["collect", "--report", *([] if "--no-tarballs" in args else ["--tarballs"]), *args]


def value_of(option: str, args: list[str]) -> list[str]:
    """Return the value that follows an option, in a list that is empty where there is none."""
    at = args.index(option) + 1 if option in args else len(args)
    return args[at : at + 1]


if __name__ == "__main__":
    sys.argv = ["oomdb", *translate(sys.argv[1:])]
    try:
        main()
    except SystemExit as end:
        sys.exit(1 if end.code == 2 or "--help" in sys.argv else end.code)
