"""The emulated shops themselves."""
