"""What must hold, measured: ratios of two ways in one run, or counts that do not depend on load; never a timed test."""
