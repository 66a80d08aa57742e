"""What each platform's suite needs to know of it, one module per connector: `KIT`."""
