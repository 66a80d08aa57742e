"""One emulated shop per channel: a state machine, request in, answer out."""
