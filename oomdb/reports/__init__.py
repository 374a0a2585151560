"""From queries to files: one frozen content, and one file per format that renders it without database or clock."""
