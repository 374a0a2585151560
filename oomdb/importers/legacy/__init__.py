"""Output folders of the legacy script `oc_get_ooms.py`: which files, what they say, when they were written."""
