"""A small cluster as an HTTPS server on loopback, for the demo, the tests and the faults; nothing of oomdb but floor 0."""
