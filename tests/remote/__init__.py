"""The folder on a web server, seen by a small server on loopback."""
