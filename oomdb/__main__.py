"""`python -m oomdb` is `oomdb`."""

from oomdb.cli.main import main

main()
