"""How fast Stock Push is, against a floor in the same run (docs/performance.md)."""
