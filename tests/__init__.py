"""The tests of Stock Push: tables for rules, Hypothesis for invariants, real sockets for the whole."""
