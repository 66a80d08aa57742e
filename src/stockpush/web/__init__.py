"""The listeners: what channels and people reach over HTTP."""
