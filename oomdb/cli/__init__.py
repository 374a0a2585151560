"""The command line: one file per command; options become objects here, and only here anything is printed."""
