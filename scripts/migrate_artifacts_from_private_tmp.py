#!/usr/bin/env python3
"""Moves the descriptions and logs that the legacy script left in /private/tmp/<cluster>/ and /tmp/<cluster>/ into its
output folder, and repairs the paths in its CSV, JSON and HTML files and in the database. Run it again as you like."""

import argparse
import os
import sys
from collections import Counter
from contextlib import nullcontext
from pathlib import Path

from oomdb.errors import OomdbError
from oomdb.importers.relocation.migrate import Migration, migrate_artifacts
from oomdb.store.database import database_path, open_for_reading, open_for_writing
from oomdb.table import escape_controls


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output-dir", type=Path, default=Path("output"), help="legacy output folder [%(default)s]")
    parser.add_argument("--db", default=os.environ.get("OOMDB_DB"), help="the database [oomdb.sqlite in that folder]")
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, change nothing")
    given = parser.parse_args()
    try:
        target = given.db or str(given.output_dir / "oomdb.sqlite")
        there = database_path(target).exists()
        open_store = open_for_reading if given.dry_run else open_for_writing
        with open_store(target) if there else nullcontext() as store:
            done = migrate_artifacts(given.output_dir, store, dry_run=given.dry_run)
        if not there:
            say(sys.stderr, f"there is no database {target}; if another one has these runs, say --db")
    except OomdbError as err:
        say(sys.stderr, f"error: {err}")
        return err.exit_code
    tell(done, dry_run=given.dry_run)
    return 0 if done.is_clean else 1


def tell(done: Migration, *, dry_run: bool) -> None:
    counts = Counter(move.state for move in done.moves)
    for move in done.moves:
        if move.state == "missing":
            say(sys.stderr, f"missing: {move.reference}")
        elif not move.is_settled:
            say(sys.stderr, f"not moved: {move.reference}: {move.why}")
    for failure in done.failures:
        say(sys.stderr, failure)
    moved, repaired = ("would be moved", "would be repaired") if dry_run else ("moved", "repaired")
    stuck = counts["other-content"] + counts["refused"]
    say(
        sys.stdout,
        f"files: {counts['new']} {moved}, {counts['there']} there, {counts['missing']} missing, {stuck} stuck",
    )
    say(sys.stdout, f"{repaired}: {len(done.rewritten)} results, {done.repaired_records} records of the database")


def say(stream: object, text: str) -> None:
    print(escape_controls(text), file=stream)  # type: ignore[call-overload]


if __name__ == "__main__":
    sys.exit(main())
