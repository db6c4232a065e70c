"""The numbered events of a job, as they happen."""
