"""The Kafka topics; their names carry the version of what travels on them."""

JOBS_TOPIC = "stemyard.jobs.v1"
SUBMISSIONS_TOPIC = "stemyard.submissions.v1"
EVENTS_TOPIC = "stemyard.events.v1"
DEAD_LETTERS_TOPIC = "stemyard.jobs.dlq.v1"
