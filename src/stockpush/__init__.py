"""Stock Push: one available-to-promise count, pushed to every channel you sell on."""

__version__ = "0.1.0"
