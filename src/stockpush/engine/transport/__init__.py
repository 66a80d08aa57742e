"""One channel's HTTP door: the only room that knows the HTTP client.

Theory of operation. A call waits for the channel's rate limit, is sent, and its whole answer is
read, all within one deadline. What went wrong is mapped here, once, for every connector
(`connectors.base.Api` lists it), by two questions: could the shop have seen the request, and did
the request ask it to change something?

A *write* is sent exactly once. Nothing here repeats it, and neither does the client below: plain
httpx never resends what it began to send, also not when a kept-alive connection turns out to be
dead (tests/engine/test_transport.py counts what a server receives). A write without a usable
answer is `OutcomeUnknown`, and the caller settles it by reading.
A *read* may be repeated, so it is, a few times with growing, jittered pauses, while the deadline
lasts. The durable retry is the outbox; this one only rides over a hiccup.

Access that runs out is asked of the vault (`credentials.py`) at each call, and renewed once where
the channel refuses it.

Secrets. Credentials are added to every call here and go to the host of the channel's base URL only
(a file that a channel names elsewhere is had without any): paths are relative, redirects are not
followed, cookies are not kept, the environment's proxies and .netrc are not read. Error texts carry
the method and the path, never the query, a header or the client's own words, which may quote one.

    door.py      `connectors.base.Api`: rate limit, deadline, retries, credentials
    tokens.py    calls to the token endpoint
    call.py      one call, and what an answer means
    wire.py      a request is built and its whole answer read; files that lie elsewhere
    download.py  a long file in lines, within bounds
    network.py   what carries it; our own address seen from outside
"""

from stockpush.engine.transport.door import READ_ATTEMPTS_MAX, ChannelApi
from stockpush.engine.transport.network import Handler, Network, Reached, in_process, reach

__all__ = [
    "READ_ATTEMPTS_MAX",
    "ChannelApi",
    "Handler",
    "Network",
    "Reached",
    "in_process",
    "reach",
]
