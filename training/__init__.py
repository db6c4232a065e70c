"""Trains stemyard-mini, the small bundled model, on music the project synthesises itself."""
