"""What a connector is: a translator between one platform's protocol and our facts.

Theory of operation. A connector holds its manifest and its settings and no state of stock. `verify`
and `read` are pure functions on bytes. Whatever needs the network goes through the injected `Api`,
which adds the credentials, deadlines, size limits, rate limits and the retry of reads; it sends a
*write* exactly once. A connector only names faults (errors.py); the engine owns the reaction.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple, Protocol, runtime_checkable

from stockpush.errors import ChannelError, ConfigInvalid
from stockpush.messages import ListingResolved, OrderSeen, Seen
from stockpush.model import FieldKey, Listing, PushOutcomeKind


@dataclass(frozen=True, slots=True)
class WebhookRequest:
    """A delivery as it came in: lower-case header names, the raw body.

    `received_at` is our clock when it came (None: nobody looked at it), for schemes that sign an
    instant.
    """

    headers: Mapping[str, str]
    body: bytes
    received_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Moment:
    """An instant by both of this machine's clocks: the wall's (aware UTC) and the monotonic one
    (seconds), which may stand still while the machine sleeps.
    """

    wall: datetime
    monotonic: float

    def plus(self, seconds: float) -> Moment:
        """Return the moment `seconds` later."""
        return Moment(self.wall + timedelta(seconds=seconds), self.monotonic + seconds)

    def is_before(self, other: Moment) -> bool:
        """Answer whether this moment lies before the other by either clock."""
        return self.wall < other.wall or self.monotonic < other.monotonic


@dataclass(frozen=True, slots=True)
class Answer:
    """A channel's answer: lower-case header names; `date` is the Date header (None if absent or
    unreadable), by the channel's clock; `took_s` how long the call took from sending it, and
    `sent` when that was (None where the door does not say).
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    date: datetime | None
    took_s: float = 0.0
    sent: Moment | None = None

    @property
    def is_page(self) -> bool:
        """Answer whether this is a page of HTML, whatever its status says: for people, and mostly
        not the channel's own.
        """
        return self.body.lstrip()[:1] == b"<"


class Api(Protocol):
    """One channel's HTTP door, bound to its base URL. Never follows a redirect.

    Raises, once mapped for every connector: `ChannelUnavailable` (network before sending, 5xx or a
    403 with a page on a read after the retries), `OutcomeUnknown` (a write was sent and no usable
    answer came: reset, timeout, 5xx, a 403 with a page), `RateLimited` (429, or 503 with
    Retry-After, with the wait), `AuthFailed` (401, 403), `PayloadInvalid` (a redirect, a path that
    leaves base_url, or a read's answer that is too large or cannot be unpacked; a write's is
    unknown).
    Other statuses are returned. Path is relative to base_url, without query.
    """

    async def send(
        self,
        method: str,
        path: str,
        *,
        write: bool,
        params: Sequence[tuple[str, str]] = (),
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        cost: float = 1.0,
        until: Moment | None = None,
    ) -> Answer:
        """Send one request. `write=True`: exactly once. `write=False`: retried while it fails.

        `cost` is what it takes from the channel's rate budget (requests, or points). Later than
        `until`, by either clock, it is not sent any more, which is `ChannelUnavailable`: the wait
        for the rate limit, and the machine's sleep, come before that is looked at.
        """
        ...

    def pause(self, seconds: float) -> None:
        """Ask the limiter to hold every call of this channel for `seconds` (>= 0)."""
        ...


@runtime_checkable
class Notes(Protocol):
    """What an `Api` may be besides: a notebook of its channel, which outlives the process.

    For the few facts that a platform does not keep and that change what a connector may do, such
    as that it was we who took a listing off sale. Texts are short, keys the connector's own.
    """

    async def noted(self) -> Mapping[str, str]:
        """Return every note of the channel by its key."""
        ...

    async def note(self, key: str, text: str | None) -> None:
        """Keep `text` under `key`, or forget it (None). Returns when that is durable.

        What is about to be done is noted before the request that does it.
        """
        ...


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a token endpoint has granted, as it is kept: sealed, and shared by every process.

    `access` authenticates calls until `expires_at` (our clock; None: it does not say), empty where
    only `refresh` is known yet. `refresh` renews it; where the platform rotates it, an old one is
    worth nothing, so a new pair is durable before it is used.
    """

    access: str = field(repr=False)
    expires_at: datetime | None = None
    refresh: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class TokenCall:
    """One POST to a platform's token endpoint, `path` relative to base_url; no other credentials
    are added to it.
    """

    path: str
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class PushLine:
    """One field to write: set to `target` (>= 0) where we believe it holds `expected`."""

    field: FieldKey
    expected: int
    target: int


@dataclass(frozen=True, slots=True)
class PushOutcome:
    """What became of one `PushLine`. One to one with the batch, in its order.

    `actual` is the channel's number where a compare was lost (None: the channel did not say).
    `error` names the fault of a line that failed; with `APPLIED`, what else a person should look at
    (its message is the outcome's reason). `gap_from`/`gap_until`: by the channel's clock,
    when a read-set write's GET was sent and its PUT answered.
    """

    kind: PushOutcomeKind
    actual: int | None = None
    error: ChannelError | None = None
    gap_from: datetime | None = None
    gap_until: datetime | None = None
    date: datetime | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """The number that one field holds now (None with a `problem` that a person must mend).

    `committed` (>= 0): units that the channel itself keeps aside for its open orders, where it
    does not take them off the number (R11); None elsewhere.
    """

    field: FieldKey
    quantity: int | None
    problem: str | None = None
    committed: int | None = None


@dataclass(frozen=True, slots=True)
class Readings:
    """An answer to `observe`: one reading per field asked for, and the channel's clock."""

    readings: tuple[Reading, ...]
    date: datetime | None


@dataclass(frozen=True, slots=True)
class FullReading:
    """How far the reading of a whole account is.

    Once it is `done`, `url` is where it lies, one record a line, for a while (None: there is
    nothing). `whole` False: it broke off because of `reason`, and what there is is a part.
    """

    done: bool
    url: str | None = None
    whole: bool = True
    reason: str = ""


class Unreadable(NamedTuple):
    """An order of a poll that could not be parsed or read whole.

    `order_id` is '' where not even that can be read. `kept` is the part of its body that a mended
    reader would read, and nothing of who bought; so it tells no order from another: `digest` does,
    SHA-256 (hex) over all of the body as it came.
    """

    order_id: str
    reason: str
    kept: bytes
    digest: str


@dataclass(frozen=True, slots=True)
class OrderPage:
    """One page of an order poll, by the channel's clock `date`.

    Of the `unreadable` orders those with an id are fetched by themselves, the others quarantined;
    the rest of the page goes on.
    `last`: this page completes the poll, and `cursor` is where the next one starts.
    """

    orders: tuple[OrderSeen, ...]
    date: datetime | None
    last: bool
    cursor: str | None = None
    unreadable: tuple[Unreadable, ...] = ()


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a connector's TOML says: facts of the platform that the engine acts on.

    `write`: "compare_and_set" or "check_then_set". `batch_max` is the most fields in a push call,
    `read_max` in an observe call.
    `requests_per_s` is the platform's allowance. `webhook_topics` are what to subscribe to.
    `webhooks_need` is the setting without which a channel has no webhooks and is polled alone (""
    where every account has them).
    `committed_apart`: a reading has a pair, the number and the units committed to open orders, and
    the platform never takes an order off the number (R11). `holds_unpaid`: what an order has not
    taken off the number yet, the platform's checkout keeps for it.
    `settings` are all settings it takes, name -> {required, secret, default, doc}, of which only
    doc must be present. `ref_fields` are the fields of a listing reference, in the order in
    which the first present one is the key. `source` names the documents it rests on.
    `quality` says how the connector stands with each rule of connectors/quality.py.
    """

    name: str
    title: str
    api_version: str
    write: str
    batch_max: int
    read_max: int
    quantity_max: int
    requests_per_s: float
    burst: float
    deadline_s: float
    slack_s: float
    orders_lag_s: float
    poll_overlap_s: float
    suspense_min_s: float
    quiet_s: float
    webhook_topics: tuple[str, ...]
    ref_fields: tuple[str, ...]
    committed_apart: bool = False
    holds_unpaid: bool = True
    webhooks_need: str = ""
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    source: str = ""
    quality: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was examined: `what` names it in few words, `told` says how it stands.

    `ok` False: it must be mended, and `mend` says how. `access`: it is a matter of credentials;
    `grant`: of those that a person grants (`Granting`), so that granting them anew mends it.
    """

    what: str
    ok: bool
    told: str
    mend: str = ""
    access: bool = False
    grant: bool = False


@dataclass(frozen=True, slots=True)
class Hooks:
    """How a channel's webhooks stand, and what was done about them, by topic.

    `kept` were right; `made` were missing, `revived` switched off by the platform, `removed` double
    or meant for an address that is ours no more, `rekeyed` not known to sign with the configured
    secret. With a dry run it is what would be done.
    `advice` is what a person does where the platform lets no program do it; nothing else is set
    then.
    """

    kept: tuple[str, ...] = ()
    made: tuple[str, ...] = ()
    revived: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    advice: str = ""
    rekeyed: tuple[str, ...] = ()

    @property
    def lost(self) -> tuple[str, ...]:
        """Return the topics of which nothing was told, or nothing that could be believed: what they
        missed must be polled.
        """
        return self.made + self.revived + self.rekeyed


@runtime_checkable
class Checkup(Protocol):
    """What a connector may be besides: one that examines its account and subscribes its webhooks.

    Both raise what `Api.send` raises.
    """

    async def check(self, api: Api) -> tuple[Finding, ...]:
        """Return how access, rights and settings of the account stand; changes nothing."""
        ...

    async def ensure_webhooks(self, api: Api, url: str, *, dry_run: bool = False) -> Hooks:
        """Have every topic of the manifest sent to `url`, once; idempotent.

        Others' webhooks are left alone. What ends in our own path below another root is ours.
        """
        ...


@runtime_checkable
class Choosing(Protocol):
    """What a connector may be besides: one that can be examined before everything is chosen.

    For what only the account itself can list, such as the location whose stock is ours.
    """

    def undecided(self) -> ConfigInvalid | None:
        """Return what must be chosen before the channel can be worked, None where nothing is.

        Until then nothing but `Checkup.check` may be asked, which lists what there is.
        """
        ...


@runtime_checkable
class Stocking(Protocol):
    """What a connector may be besides: one that can put a listing on stock that is not yet.

    Only asked on a channel that is live.
    """

    async def put_on_stock(
        self, api: Api, resolved: Sequence[ListingResolved], *, call_id: str
    ) -> tuple[ListingResolved, ...]:
        """Stock those of which that is the problem, if the owner has agreed to it; return how they
        are resolved by now, in the same order. `call_id` is this attempt's own.

        Those of which nobody can say whether they were stocked are left out: they are resolved
        again later, which tells. Raises what else `Api.send` raises.
        """
        ...


@runtime_checkable
class ReadsWhole(Protocol):
    """What a connector may be besides: one whose platform reads a whole account by itself.

    That takes the platform a while, and what it has read is as old by then: it is no observation.
    All but `full_record` raise what `Api.send` raises, and `PushRejected`.
    """

    async def begin_full(self, api: Api) -> str:
        """Have everything read; return the reading's name."""
        ...

    async def full(self, api: Api, name: str) -> FullReading:
        """Return how far it is."""
        ...

    async def end_full(self, api: Api, name: str) -> None:
        """End a reading that nobody waits for any more."""
        ...

    def full_record(self, line: bytes) -> Reading:
        """Return what one line says; pure. `PayloadInvalid` where it cannot be understood."""
        ...


@runtime_checkable
class Signing(Protocol):
    """What a connector may be besides: one whose requests may carry a signature each."""

    def signed(
        self,
        method: str,
        url: str,
        params: Sequence[tuple[str, str]],
        *,
        at: datetime,
        nonce: Callable[[], str],
    ) -> Sequence[tuple[str, str]]:
        """Return the parameters to send in the place of `params`; pure.

        `url` has no query; `at` is now by our clock, and `nonce` makes a number used once.
        """
        ...


@runtime_checkable
class Granting(Protocol):
    """What a connector may be besides: one whose first access a person grants in a browser.

    The person opens `authorize_url`, agrees, and ends at `redirect_uri` with a code in the address.
    `state` comes back as it was sent, and `verifier` proves that who asked is who trades the code.
    """

    def authorize_url(self, redirect_uri: str, *, state: str, verifier: str) -> str:
        """Return the address to open in a browser."""
        ...

    def exchange(
        self, redirected: str, redirect_uri: str, *, state: str, verifier: str
    ) -> TokenCall:
        """Return the call that trades the code in the address where the browser ended.

        Raises `AuthFailed` where access was refused or `state` is another one, `UsageError` for an
        address without a code.
        """
        ...

    def first_tokens(self, answer: Answer, *, now: datetime) -> Tokens:
        """Return the tokens in the answer to `exchange`; raises as `Renewal.granted` does."""
        ...


@runtime_checkable
class NamedDeliveries(Protocol):
    """What a connector may be besides: one whose platform names each delivery, and signs the name.

    Two deliveries of one name are one, and two of different names are two, also where their bodies
    are alike. Where a name is not signed it is worth nothing, and the body alone is compared.
    """

    def delivery_name(self, request: WebhookRequest) -> str:
        """Return the name of a verified delivery."""
        ...


def same_hook(address: str, url: str) -> bool:
    """Answer whether a webhook's address is ours, below this root or another one.

    The path has a token of 128 bits in it, so that nobody else's ends alike.

    >>> same_hook("https://old.example/webhooks/s/TOKEN", "https://new.example/webhooks/s/TOKEN")
    True
    """
    path, other = (each.partition("://")[2].partition("/")[2] for each in (url, address))
    return path.startswith("webhooks/") and other == path


class Renewal(Protocol):
    """How one configured channel's access is renewed; pure, the engine makes the calls."""

    def first(self) -> Tokens:
        """Return what the configuration begins with: a refresh token, or no token at all."""
        ...

    def call(self, tokens: Tokens) -> TokenCall:
        """Return the call that renews `tokens`.

        Raises `AuthFailed` where they hold nothing to renew: a person must grant access first.
        """
        ...

    def granted(self, tokens: Tokens, answer: Answer, *, now: datetime) -> Tokens:
        """Return the tokens in the answer to `call(tokens)`, `now` by our clock.

        Raises `AuthFailed` where a person must grant access anew, `ChannelUnavailable` where the
        endpoint is in trouble, `PayloadInvalid` where it cannot be understood.
        """
        ...


class Connector(Protocol):
    """One configured channel's translator.

    Constructed by its module's `connect(channel, manifest, settings) -> Connector`, which raises
    `ConfigInvalid` naming the setting; settings are text, secrets arrive resolved.
    """

    @property
    def channel(self) -> str:
        """Return our name of the channel."""
        ...

    @property
    def manifest(self) -> Manifest:
        """Return the facts of the platform."""
        ...

    def base_url(self) -> str:
        """Return the root that `Api` paths are relative to."""
        ...

    def auth_headers(self, tokens: Tokens | None = None) -> Mapping[str, str]:
        """Return the headers that authenticate every call; `tokens` are the newest granted ones."""
        ...

    def renewal(self) -> Renewal | None:
        """Return how access is renewed; None where the credentials are what was configured."""
        ...

    def together(self, key: str) -> str:
        """Return what a field is written with: fields of one name go out in one request, whole.

        A field that is written by itself is its own: the key.
        """
        ...

    def ref(self, given: Mapping[str, Any]) -> str:
        """Return a listing reference's canonical key, pure; `CatalogueInvalid` names the field."""
        ...

    def verify(self, request: WebhookRequest) -> None:
        """Return if the channel signed this body, else raise `SignatureInvalid`; constant time."""
        ...

    def is_ping(self, request: WebhookRequest) -> bool:
        """Answer whether this is the platform's unsigned creation ping: 200, no effect."""
        ...

    def read(self, request: WebhookRequest) -> tuple[str, tuple[Seen, ...]]:
        """Return (topic for people, facts or hints) of a verified body; pure.

        Raises `PayloadInvalid` for a body that cannot be understood.
        """
        ...

    async def resolve(self, api: Api, listings: Sequence[Listing]) -> tuple[ListingResolved, ...]:
        """Ask the channel by which order key and field each listing goes; one answer each."""
        ...

    async def observe(self, api: Api, fields: Sequence[FieldKey]) -> Readings:
        """Read what the fields hold now: 1..`manifest.read_max` of them, one `Reading` each."""
        ...

    async def push(
        self, api: Api, batch: Sequence[PushLine], *, call_id: str
    ) -> tuple[PushOutcome, ...]:
        """Write the batch (1..batch_max). Never raises a `ChannelError`: each line has its outcome.

        Called again with the same `call_id` and the same batch to learn an unknown outcome.
        """
        ...

    async def fetch_order(self, api: Api, order_id: str, *, fetch: int) -> OrderSeen | None:
        """Read one order; None if the channel no longer has it. `fetch` numbers the version."""
        ...

    def poll_orders(self, api: Api, *, since: str | None, fetch: int) -> AsyncIterator[OrderPage]:
        """Read every order changed since the cursor, page by page; overlap is subtracted here.

        Without a cursor: all open orders, whatever their age, then the recent ones. The last page
        has the new cursor.
        """
        ...
