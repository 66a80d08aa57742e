"""Fuzz targets, for outside of the test suite (`make fuzz`)."""
