"""The door: HTTP API, accounts, submissions, status, events, results."""
