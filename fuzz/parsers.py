"""Feed the verifiers, the decoder and every parser with what coverage leads the fuzzer to.

`make fuzz` runs it for ten minutes. The judge is that of the property tests, so that whatever
falls here can be made a test there. A finding is written to build/fuzz/ and replayed with
`build/fuzz/bin/python -m fuzz.parsers FILE`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["stockpush.connectors", "stockpush.errors"]):
    from tests.hostile import judging

CORPUS = Path(__file__).parents[1] / "build" / "fuzz" / "corpus"
RAW, SPOILT, SIGNED = range(3)


def one_input(data: bytes) -> None:
    """Judge one input: its first bytes say which parser, and how the rest is used."""
    given = atheris.FuzzedDataProvider(data)
    way = given.ConsumeIntInRange(RAW, SIGNED)
    target = judging.TARGETS[given.ConsumeIntInRange(0, len(judging.TARGETS) - 1)]
    if way == RAW:
        target.judge(given.ConsumeBytes(given.remaining_bytes()))
    elif way == SPOILT:
        seed = target.seeds[given.ConsumeIntInRange(0, len(target.seeds) - 1)]
        target.judge(judging.mutated(seed, lambda count: given.ConsumeIntInRange(0, count - 1)))
    else:
        connector = (judging.SHOPIFY, judging.WOO)[given.ConsumeIntInRange(0, 1)]
        names = (judging.SIGNATURE_HEADER[connector.channel], "x-shopify-shop-domain")
        headers = {name: given.ConsumeUnicode(64) for name in names}
        judging.signature(connector, headers, given.ConsumeBytes(given.remaining_bytes()))


def main() -> None:
    """Run until the fuzzer's own options end it."""
    CORPUS.mkdir(parents=True, exist_ok=True)
    for number, target in enumerate(judging.TARGETS):
        for position, seed in enumerate(target.seeds):
            # Numbers in a range are taken from the end of the data.
            path = CORPUS / f"seed-{number}-{position}"
            path.write_bytes(json.dumps(seed).encode() + bytes([number, RAW]))
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
