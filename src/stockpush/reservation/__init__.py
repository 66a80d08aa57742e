"""The pure core: what stock there is, what it can promise, and what each command changes.

Everything here is synchronous and a function of its arguments: no clock, no dice, no input or
output. The engine gathers rows, asks `decide`, and writes what it answers (docs/architecture.md,
"Gather, decide, apply"). Stock arithmetic stands in `bom`, `atp`, `exposure` and `ledger`.
"""
