"""Connectors against the emulated shops and against recorded answers."""
