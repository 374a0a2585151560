"""Artifacts that the legacy script left in /tmp come into the output folder, and what names them names them there."""
