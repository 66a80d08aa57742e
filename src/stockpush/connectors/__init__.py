"""One translator per platform, each with a manifest; the engine knows only `base.Connector`."""
