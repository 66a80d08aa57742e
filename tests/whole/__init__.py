"""Tests of the whole daemon against emulated shops, over real HTTP on loopback."""
