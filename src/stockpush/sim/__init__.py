"""Emulated shops and the world around them; never imported by the daemon."""
