"""Talking to clusters: kubeconfig, credentials, HTTP, lists and logs; no SQL and no detection may enter.

Errors of urllib3, ssl, msgspec and yaml stop here: callers see `oomdb.errors` alone.
"""
