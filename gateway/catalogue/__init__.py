"""What songs can be separated with."""
