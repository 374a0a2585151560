"""The version of oomdb, in one place: the package, `--version` and every run's row read it here."""

__version__ = "0.1.0"
