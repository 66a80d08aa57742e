"""Tests: tables for rules, Hypothesis for invariants, real sockets for the whole."""
