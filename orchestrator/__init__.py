"""The floor: takes jobs and runs each as one stream with bounded memory."""
