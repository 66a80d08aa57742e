"""Crashes of the real process, on real files and a real PostgreSQL."""
