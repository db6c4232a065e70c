"""How Triton is run: what may be loaded, with which threads, behind which doors."""
