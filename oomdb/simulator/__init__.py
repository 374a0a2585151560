"""A small cluster as an HTTPS server on loopback, for the demo, the tests and the faults; floor 0 alone may enter."""
