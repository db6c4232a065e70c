"""Whether the service and what it needs are there."""
