"""Jobs: submitting, listing, cancelling, deleting."""
