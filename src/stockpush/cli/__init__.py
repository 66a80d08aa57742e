"""The command line: what a maker types, and what scripts rely on (docs/interface.md).

Theory of operation. A command reads its arguments, opens the parts that it needs (`session`), does
its work, and hands what it found to `output`, which prints a table for people or one JSON document
for scripts. Errors are raised, never printed, by commands: `main` prints them in one shape and
turns them into the exit code. A command never talks to a channel, that is the daemon's part; but
`resync` takes the daemon's place for a moment where none runs.
"""
