"""`python -m stockpush` is the command `stockpush`."""

from __future__ import annotations

from stockpush.cli.main import main

if __name__ == "__main__":
    main()
