"""Detectors: pure rules that read pods and events; no client, no clock, no log, no database may enter.

A detector is one file and one entry point in the group `oomdb.detectors`; ours come in by the same door.
"""
