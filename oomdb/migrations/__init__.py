"""The history of the schema: numbered revisions, the only way to a table."""
