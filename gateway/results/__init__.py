"""Downloading what jobs have made."""
