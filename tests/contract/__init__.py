"""One suite that every connector must hold, collected from the registry.

Theory of operation. The tests are written once, against `connectors.base.Connector` and
`sim.shops.base.Shop`. Which connectors there are is asked of the registry, so that one that is
added is in the suite by its manifest alone. What differs from platform to platform is data, not
tests: a *kit* (kits/NAME.py) says how an emulated shop of it is opened and stocked, and
tests/samples/NAME/ holds recorded bodies and error answers. A connector without them is red.
"""
