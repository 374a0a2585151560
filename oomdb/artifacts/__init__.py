"""The saved texts about findings: how a pod is described, what a log file looks like, where files lie; no network."""
