"""Bugs to be planted on purpose: each a small change to the real code, for the simulator to find.

Theory of operation. A bug is a list of edits, each the text of one function as it is and as
somebody might have got it wrong. Planting compiles the wrong text in the function's own module and
puts its code into the function object, so that everybody who imported the function runs it too; the
context's end puts the right code back. Nothing in the program knows of this. An edit whose text is
not there exactly once fails: whoever changes a function says what its bugs are now.

Every edit is wrong in one way and breaks nothing else: it must be found because a rule is broken,
never because the daemon ends with an exception.
"""

from __future__ import annotations
import __future__

import inspect
import sys
import textwrap
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from types import CodeType, FunctionType, MappingProxyType

from stockpush.store.statements import statements_of


@dataclass(frozen=True, slots=True)
class Edit:
    """One change: in the function `where` ("module:Class.method"), `right` becomes `wrong`.

    Both are whole lines or parts of one, without the indentation that the function has in its
    file; `right` must be there exactly once.
    """

    where: str
    right: str
    wrong: str


@dataclass(frozen=True, slots=True)
class Planted:
    """A bug: its name, the mistake in a sentence, and the rows and rules that it breaks.

    Where it comes to light is said by `tests/sim/hunt.py`.
    """

    name: str
    what: str
    rows: tuple[str, ...]
    edits: tuple[Edit, ...]

    @contextmanager
    def plant(self) -> Iterator[None]:
        """Have the bug in the code until the block ends."""
        wrong = {where: _compiled(where, self.edits) for where in self.functions}
        right = {where: function.__code__ for where, function in self.functions.items()}
        try:
            for where, function in self.functions.items():
                function.__code__ = wrong[where]
            statements_of.cache_clear()  # one that was compiled before would be right
            yield
        finally:
            for where, function in self.functions.items():
                function.__code__ = right[where]
            statements_of.cache_clear()

    @property
    def functions(self) -> dict[str, FunctionType]:
        """Return the functions that are changed, by where they are."""
        return {edit.where: _function(edit.where) for edit in self.edits}


def _function(where: str) -> FunctionType:
    """Return the function "module:Class.method"; a cached property's is the one that computes."""
    module, _, path = where.partition(":")
    found: object = import_module(f"stockpush.{module}")
    for name in path.split("."):
        found = inspect.getattr_static(found, name)
    if isinstance(found, cached_property):
        found = found.func
    assert isinstance(found, FunctionType), f"{where} is no function"
    return found


def _compiled(where: str, edits: tuple[Edit, ...]) -> CodeType:
    """Return the code of a function with all its edits made."""
    function = _function(where)
    text = textwrap.dedent(inspect.getsource(function))
    for edit in edits:
        if edit.where == where:
            found = text.count(edit.right)
            assert found == 1, f"{where} has {edit.right!r} {found} times"
            text = text.replace(edit.right, edit.wrong)
    # On the lines that it has in its file, so that a trace still points there.
    lines = "\n" * (function.__code__.co_firstlineno - 1)
    code = compile(
        lines + text,
        function.__code__.co_filename,
        "exec",
        flags=__future__.annotations.compiler_flag,
        dont_inherit=True,
    )
    made: dict[str, FunctionType] = {}
    exec(code, sys.modules[function.__module__].__dict__, made)  # our own text
    wrong = made[function.__name__]
    compiled = getattr(wrong, "func", wrong).__code__  # a cached property's is the one inside
    assert isinstance(compiled, CodeType)
    return compiled


# -- intake --------------------------------------------------------------------------------------

_ACKNOWLEDGED_EARLY = Planted(
    "acknowledged_early",
    "a delivery is acknowledged before the commit that makes it durable",
    ("F15", "F14", "I3"),
    (
        Edit(
            "engine.intake:Intake.receive",
            "    done = await self._lane.submit(command)\n",
            "    import asyncio\n"
            "    committing = asyncio.ensure_future(self._lane.submit(command))\n"
            "    committing.add_done_callback(lambda each: each.cancelled() or each.exception())\n"
            "    return Receipt('stored')\n",
        ),
    ),
)

_DELIVERY_ID = Planted(
    "delivery_id",
    "deliveries are told apart by WooCommerce's delivery id, which two of one second share",
    ("F9", "S5"),
    (
        Edit(
            "engine.intake:Intake._digest",
            "return hashlib.sha256(name + request.body).hexdigest()",
            "return hashlib.sha256(\n"
            "            request.headers.get('x-wc-webhook-delivery-id', '').encode()\n"
            "            or request.body\n"
            "        ).hexdigest()",
        ),
    ),
)

_ECHO_WRITTEN = Planted(
    "echo_written",
    "every webhook about a number causes a write, our own write's echo too",
    ("F69", "R7"),
    (
        Edit(
            "reservation.sales:receive",
            "if field is not None and (seen.told is None or seen.told != field.expected):\n",
            "if field is not None:\n"
            "                    dirty[field.key] = Dirty(field.key, field.revision, at, False)\n",
        ),
        Edit(
            "reservation.sales:receive",
            "    moved: set[ListingKey] = set()\n",
            "    moved: set[ListingKey] = set()\n"
            "    from stockpush.model import Dirty\n"
            "    dirty = {}\n",
        ),
        Edit(
            "reservation.sales:receive",
            "    return draft.decision(\n        deliveries=(row,),\n",
            "    decided = draft.decision(\n        deliveries=(row,),\n",
        ),
        Edit(
            "reservation.sales:receive",
            "        heard=heard,\n    )\n",
            "        heard=heard,\n    )\n"
            "    return replace(\n"
            "        decided,\n"
            "        dirty=tuple(\n"
            "            each for each in dirty.values() if each.key not in view.rows.dirty\n"
            "        ),\n"
            "    )\n",
        ),
        Edit(
            "reservation.pushes:open_pushes",
            "if wanted == (field.shadowed if shadow else field.expected):",
            "if shadow and wanted == field.shadowed:",
        ),
    ),
)

_ECHO_BELIEVED = Planted(
    "echo_believed",
    "the number in a webhook is believed, though it is as old as the delivery",
    ("R2", "F4"),
    (
        Edit(
            "reservation.sales:receive",
            "draft.wish(wants_reading(field, at=at))\n",
            "draft.wish(wants_reading(field, at=at))\n"
            "                    if seen.told is not None and field.expected is not None:\n"
            "                        draft.change(replace(\n"
            "                            field, expected=seen.told, revision=field.revision + 1\n"
            "                        ))\n",
        ),
    ),
)

# -- orders --------------------------------------------------------------------------------------

_STALE_VERSION = Planted(
    "stale_version",
    "an older version of an order overwrites a newer one",
    ("F3", "F4", "I5"),
    (
        Edit(
            "reservation.orders:merge",
            "    if newest is not None and order.version < newest:\n"
            "        return Merged(Verdict.OLDER)\n",
            "",
        ),
    ),
)

_HASH_BREAKS_TIES = Planted(
    "hash_breaks_ties",
    "of two contents with one date the one with the larger hash counts, whoever was read later",
    ("F4", "I4", "I6"),
    (
        Edit(
            "reservation.orders:merge",
            "if newest is not None and order.version < newest:",
            "if newest is not None and order.version.updated_at < newest.updated_at:",
        ),
        Edit(
            "reservation.orders:merge",
            "        if order.version == newest:\n            return Merged(Verdict.TIE)\n",
            "        import hashlib\n"
            "        told = sorted(\n"
            "            (x.line_id, x.open, x.shipped, x.deducted) for x in order.lines\n"
            "        )\n"
            "        held = sorted(\n"
            "            (x.key.line_id, x.open, x.shipped, x.deducted) for x in lines.values()\n"
            "        )\n"
            "        sums = [hashlib.sha256(repr(x).encode()).digest() for x in (told, held)]\n"
            "        if sums[0] < sums[1]:\n"
            "            return Merged(Verdict.OLDER)\n",
        ),
    ),
)

_COUNTED_PER_LINE = Planted(
    "counted_per_line",
    "each line is added to what was reserved before the order: only the last one counts",
    ("F60", "I2"),
    (
        Edit(
            "reservation.draft:Draft.reserve",
            "replace(row, reserved=row.reserved + units)",
            "replace(row, reserved=max(0, self.view.shelf(shelf).reserved + units))",
        ),
    ),
)

_REFUND_RESTOCKS = Planted(
    "refund_restocks",
    "a refund counts as putting the units back, whatever the merchant said",
    ("F17",),
    (
        Edit(
            "connectors.shopify.orders:_split",
            "back = units[Restock.RETURN] + units[Restock.LEGACY_RESTOCK]",
            "back = sum(units[each] for each in Restock if each is not Restock.CANCEL)",
        ),
        Edit(
            "connectors.shopify.orders:_split",
            "Restock.NO_RESTOCK: units[Restock.NO_RESTOCK]",
            "Restock.NO_RESTOCK: 0",
        ),
        Edit(
            "connectors.woocommerce.orders:counts",
            "restocked = min(max(ordered - reduced, 0), refunded)",
            "restocked = refunded",
        ),
    ),
)

_PACK_FORGOTTEN = Planted(
    "pack_forgotten",
    "a sale of a pack reserves one unit of the item",
    ("F57", "I2"),
    (
        Edit(
            "reservation.sales:_write",
            "effect.open * line.pack, made_with)",
            "effect.open, made_with)",
        ),
    ),
)

_BASELINE_IGNORED = Planted(
    "baseline_ignored",
    "what had shipped before the first poll is taken off the shelf once more",
    ("I1",),
    (
        Edit(
            "reservation.orders:merge",
            "history = started is None or order.placed_at < started",
            "history = False",
        ),
    ),
)

_FIRST_PUSH_BLIND = Planted(
    "first_push_blind",
    "a field is pushed for the first time before its channel's orders were read",
    ("R8", "F30"),
    (
        Edit(
            "reservation.pushes:open_pushes",
            "if not shadow and not orders_read_since(field, channel.polled_begun_at, policy):",
            "if False:",
        ),
    ),
)

_FETCHES_RESTART = Planted(
    "fetches_restart",
    "fetches are numbered from 1 again after a restart",
    ("I5", "F41"),
    (
        Edit(
            "engine.channel:FetchNumbers.take",
            "self._next = await self._store.reserve_fetch_numbers(FETCH_BLOCK)",
            "self._next = 1 + self._end",
        ),
    ),
)

_CURSOR_IS_NOW = Planted(
    "cursor_is_now",
    "the next poll begins where the clock stands, without looking back",
    ("F36", "F37"),
    (
        Edit(
            "engine.reconcile:Reconciler._poll_pages",
            "PollCompleted(begun_at, page.cursor, page.date)",
            "PollCompleted(begun_at, self._clock.now().isoformat(), page.date)",
        ),
        Edit(
            "connectors.woocommerce.polling:OrderReader.poll",
            "start = instant_of(since) - self.overlap",
            "start = instant_of(since)",
        ),
        Edit(
            "connectors.shopify.polling:OrderReader.poll",
            "start = instant_of(since) - self.poll_overlap",
            "start = instant_of(since)",
        ),
    ),
)

# -- what a field holds --------------------------------------------------------------------------

_EXPECTED_IS_TARGET = Planted(
    "expected_is_target",
    "a confirmed write sets E to T, and forgets what was sold while it was in flight",
    ("R1", "F30"),
    (
        Edit(
            "reservation.expectation:confirmed",
            "expected=field.expected + target - expected_sent,",
            "expected=target,",
        ),
    ),
)

_SIGNED_COUNTER = Planted(
    "signed_counter",
    "hold and surplus are one signed number: somebody's raise hides a sale",
    ("R2", "F33"),
    (
        Edit(
            "reservation.expectation:_higher",
            "released = min(field.hold, field.uneaten, told)",
            "released = min(field.hold, units)",
        ),
        Edit(
            "reservation.expectation:_higher",
            "uneaten=field.uneaten - released,",
            "uneaten=max(0, field.uneaten - released),",
        ),
        Edit(
            "reservation.expectation:_lower",
            "sold = units - overwritten",
            "sold = max(0, units - overwritten - field.surplus)",
        ),
        Edit(
            "reservation.expectation:_lower",
            "doubt=field.doubt + twice,",
            "surplus=max(0, field.surplus - units + overwritten),",
        ),
    ),
)

_NO_HOLD = Planted(
    "no_hold",
    "a number lower than expected is believed, and the sale that it tells of is not held",
    ("R2", "F30", "I2"),
    (
        Edit(
            "reservation.expectation:_lower",
            "hold=field.hold + sold,",
            "hold=field.hold,",
        ),
    ),
)

_HOLD_LET_GO = Planted(
    "hold_let_go",
    "a hold is let go at its second reading, without waiting for the orders",
    ("R4",),
    (
        Edit(
            "reservation.expectation:restored",
            "        not polled_twice\n"
            "        or at < since + timedelta(seconds=suspense_min_s)\n"
            "        or field.suspense_reads < 2\n",
            "        field.suspense_reads < 2\n",
        ),
    ),
)

_SURPLUS_SOLD = Planted(
    "surplus_sold",
    "units that a channel seems to have put back are offered at once",
    ("R5", "F33"),
    (
        Edit(
            "reservation.view:View._standing",
            "on_hand[sku] = row.on_hand_soon",
            "on_hand[sku] = row.on_hand_soon + sum(\n"
            "                    self.rows.fields[key].surplus * self.rows.fields[key].pack\n"
            "                    for key in self.catalogue.fields_of.get(sku, ())\n"
            "                    if key in self.rows.fields\n"
            "                )",
        ),
    ),
)

_STALE_READING = Planted(
    "stale_reading",
    "a reading sent before the last write was settled counts",
    ("R2", "F34"),
    (
        Edit(
            "reservation.expectation:observed",
            "if field.written_at is not None and sent_at < field.written_at:",
            "if False:",
        ),
    ),
)

_BLURRED_READING = Planted(
    "blurred_reading",
    "a reading counts in full although orders moved E while it was under way",
    ("R2",),
    (
        Edit(
            "reservation.expectation:observed",
            "low, high = sorted((expected_sent, field.expected))",
            "low = high = field.expected",
        ),
    ),
)

_HOLD_NOT_EATEN = Planted(
    "hold_not_eaten",
    "an order lowers E although a hold already stands for its units",
    ("R3",),
    (
        Edit(
            "reservation.expectation:_taken",
            "eaten = min(field.hold, units) if shown else 0",
            "eaten = 0",
        ),
        Edit(
            "reservation.expectation:_taken",
            "ambiguous = 0 if shown or unshown else min(field.hold, units)",
            "ambiguous = 0",
        ),
        Edit(
            "reservation.expectation:_taken",
            "behind = units - eaten if shown else 0",
            "behind = 0",
        ),
    ),
)

_UNDEDUCTED_IGNORED = Planted(
    "undeducted_ignored",
    "the target leaves out what is sold and still stands on the channel's number",
    ("F19",),
    (
        Edit(
            "reservation.expectation:standing_on",
            "return standing(field)",
            "return 0",
        ),
    ),
)

_GAP_IGNORED = Planted(
    "gap_ignored",
    "nobody looks whether a write without a compare went over a sale",
    ("R10", "F30"),
    (
        Edit(
            "reservation.expectation:_in_gap",
            "    if field.gap_from is None or field.gap_until is None:\n",
            "    if True:\n",
        ),
        Edit(
            "reservation.pushes:_applied",
            "return wants_reading(after, at=at + POST_CHECK)",
            "return after",
        ),
    ),
)

# -- pushes --------------------------------------------------------------------------------------

_FRESH_READ = Planted(
    "fresh_read",
    "a write is compared with a number just read, which already shows the sale we do not know of",
    ("F30", "R1"),
    (
        Edit(
            "engine.pusher:Pusher.push_once",
            "    call_id = self._ids.new()\n",
            "    from stockpush.errors import ChannelError\n"
            "    from stockpush.messages import Observe, QuantitySeen\n"
            "    keys, now = tuple(dirty.key for dirty in due), self._clock.now()\n"
            "    try:\n"
            "        answer = await channel.connector.observe(channel.api, keys)\n"
            "    except ChannelError:\n"
            "        pass\n"
            "    else:\n"
            "        await self._lane.submit(Observe(tuple(\n"
            "            QuantitySeen(each.field, each.quantity, now, None, -1, answer.date)\n"
            "            for each in answer.readings if each.quantity is not None\n"
            "        )))\n"
            "    call_id = self._ids.new()\n",
        ),
        Edit(
            "reservation.drift:observe",
            "        elif not is_ours(field, policy):\n",
            "        elif seen.revision_sent < 0:\n"
            "            revision = field.revision + 1\n"
            "            draft.change(replace(field, expected=seen.quantity, revision=revision))\n"
            "        elif not is_ours(field, policy):\n",
        ),
    ),
)

_TIMEOUT_FAILED = Planted(
    "timeout_failed",
    "a write without an answer is taken for one that did not happen",
    ("R6", "F24"),
    (
        Edit(
            "reservation.pushes:settle_pushes",
            "if settled.outcome is PushOutcomeKind.UNKNOWN:",
            "if False:",
        ),
    ),
)

_UNKNOWN_APPLIED = Planted(
    "unknown_applied",
    "an unanswered write is said to have arrived wherever that needs the fewest unseen sales",
    ("R6", "F24"),
    (
        Edit(
            "reservation.expectation:outcome_read",
            "sold = max(sales, default=0)",
            "sold = min(sales, default=0)",
        ),
    ),
)

_RESTART_FORGETS = Planted(
    "restart_forgets",
    "what was in flight when the daemon ended is taken for not sent",
    ("R6", "F41"),
    (
        Edit(
            "engine.pusher:Pusher._distrust_open",
            "PushSettled(push.call_id, push.field, PushOutcomeKind.UNKNOWN)",
            "PushSettled(push.call_id, push.field, PushOutcomeKind.UNAVAILABLE)",
        ),
    ),
)

_ZOMBIE_FORGOTTEN = Planted(
    "zombie_forgotten",
    "an unanswered write is asked after, and written over, while it may still arrive",
    ("R6", "F27", "I7"),
    (
        Edit(
            "engine.pusher:Pusher._note_unknown",
            "        wait_s = max(wait_s, self._channel.connector.manifest.deadline_s)\n",
            "        wait_s = 0.0\n",
        ),
    ),
)

_CLEANED_UNSEEN = Planted(
    "cleaned_unseen",
    "a settled push takes its outbox row along though the target changed while it was in flight",
    ("F28", "I14"),
    (
        Edit(
            "reservation.pushes:settle_pushes",
            "                draft.change(_applied(view, field, push, settled, at))\n",
            "                draft.wish(_applied(view, field, push, settled, at))\n"
            "                if queued is not None:\n"
            "                    clean.append((queued.key, queued.revision))\n",
        ),
    ),
)

_INTENT_LOST = Planted(
    "intent_lost",
    "a push that was told to wait is forgotten",
    ("F28",),
    (
        Edit(
            "reservation.pushes:settle_pushes",
            "                if queued is not None or push.target != push.expected:\n"
            "                    dirty.append("
            "_later(queued or _lost(field, push, at), settled, at))\n"
            "                draft.change(field)\n",
            "                if queued is not None:\n"
            "                    clean.append((queued.key, queued.revision))\n",
        ),
    ),
)

_RAISED_FIRST = Planted(
    "raised_first",
    "raises go at once and first; what must be lowered waits for company",
    ("R7",),
    (
        Edit(
            "reservation.pushes:_queue",
            "due_at=at if decrease else at + quiet,",
            "due_at=at + timedelta(minutes=1) if decrease else at,",
        ),
        Edit(
            "reservation.pushes:mark",
            "dirty.append(replace(queued, decrease=True, due_at=min(queued.due_at, at)))",
            "dirty.append(replace(queued, decrease=True))",
        ),
        Edit(
            "store.statements:Statements.dirty_due",
            "table.c.decrease.desc()",
            "table.c.decrease",
        ),
    ),
)

_TWO_TRANSACTIONS = Planted(
    "two_transactions",
    "an order's lines are committed first, and what they reserve in a transaction of its own",
    ("F62", "I2"),
    (
        Edit(
            "engine.commit:CommitLane._once",
            "        ids = await transaction.apply([*decisions, marking])\n",
            "        orders = [Decision(reservations=each.reservations) for each in decisions]\n"
            "        apart = not any(each.listings for each in decisions)\n"
            "        apart = apart and any(each.reservations for each in orders)\n"
            "        if apart:\n"
            "            await transaction.apply(orders)\n"
            "        else:\n"
            "            ids = await transaction.apply([*decisions, marking])\n"
            "    if apart:\n"
            "        async with self.store.transaction() as transaction:\n"
            "            await transaction.catalogue_revision()\n"
            "            await _gather(transaction, commands, catalogue)\n"
            "            ids = await transaction.apply([*decisions, marking])\n",
        ),
    ),
)

# -- bills ---------------------------------------------------------------------------------------

_ROUNDED_UP = Planted(
    "rounded_up",
    "what the materials make is rounded up: the last unit cannot be built",
    ("F57", "I2"),
    (
        Edit("reservation.atp:_made_from", "return (units", "return -(-(units"),
        Edit("reservation.atp:_made_from", "* (of + lost))", "* (of + lost)))"),
        Edit(
            "reservation.atp:_built_at_most",
            "bound[line.component] * yields * of // (line.quantity * (of + lost))",
            "-(-bound[line.component] * yields * of // (line.quantity * (of + lost)))",
        ),
    ),
)

# -- what one platform alone has -----------------------------------------------------------------

_CANCELED_NOT_ASKED = Planted(
    "canceled_not_asked",
    "Etsy is asked for what was modified, and not apart for what was cancelled",
    ("I14",),
    (
        Edit(
            "connectors.etsy.polling:OrderReader.poll",
            '_List((("was_canceled", "true"),), "updated", start)',
            '_List((), "updated", start)',
        ),
    ),
)

_SIBLINGS_UNCOMPARED = Planted(
    "siblings_uncompared",
    "of an Etsy document that is replaced only one of our numbers is compared first",
    ("F30", "F31"),
    (
        Edit(
            "connectors.etsy.writing:_judged",
            "is_lost = any(",
            "is_lost = all(",
        ),
    ),
)

_UNPAID_FOR_SALE = Planted(
    "unpaid_for_sale",
    "what an unpaid order waits for stands on Etsy's number, which sells it to somebody else",
    ("F19", "F30"),
    (
        Edit(
            "reservation.expectation:standing_on",
            "if not policy.holds_unpaid:",
            "if False:",
        ),
    ),
)

_ROTATION_IGNORED = Planted(
    "rotation_ignored",
    "the refresh token that was just used up is kept, not the new one",
    ("F38", "F39"),
    (
        Edit(
            "connectors.etsy.renewing:granted",
            "told.refresh_token or (None if before is None else before.refresh)",
            "(None if before is None else before.refresh) or told.refresh_token",
        ),
    ),
)

_OPEN_FORGOTTEN = Planted(
    "open_forgotten",
    "Faire's number is written without our own open orders, which Faire takes off it again",
    ("R11", "I14"),
    (
        Edit(
            "reservation.expectation:standing_on",
            "return max(0, field.undeducted - field.surplus)",
            "return 0",
        ),
    ),
)

_UNKEPT_ON_SALE = Planted(
    "unkept_on_sale",
    "an open order that Faire does not keep apart stands on its number, which sells it again",
    ("R11", "I14"),
    (
        Edit(
            "reservation.expectation:standing_on",
            "return max(0, field.undeducted - field.surplus)",
            "return field.undeducted",
        ),
    ),
)

_BACKORDER_TWICE = Planted(
    "backorder_twice",
    "a backorder counts in the order that it was split from, and in its own",
    ("I4", "I14"),
    (
        Edit(
            "connectors.faire.orders:_line",
            "moved = min(pieces, elsewhere[key])",
            "moved = 0",
        ),
    ),
)

_SHARED_ALONE = Planted(
    "shared_alone",
    "each listing takes its share as if the others were not there, so that units are shared twice",
    ("I14",),
    (
        Edit(
            "reservation.sharing:sharers_of",
            "if (key == joined_by or catalogue.is_written(key)) and",
            "if key == joined_by and",
        ),
    ),
)

# -- what is parted ------------------------------------------------------------------------------

_SPLIT_RAISED_EARLY = Planted(
    "split_raised_early",
    "a part is handed over before the lowering that frees it is confirmed",
    ("I17",),
    (
        Edit(
            "reservation.split:reach",
            "return share.at_most + room if share.compares else max(share.at_most, room)",
            "return share.cap",
        ),
    ),
)

_SPLIT_LOWERED_AT_ONCE = Planted(
    "split_lowered_at_once",
    "a lowering counts when it is sent, so that what it frees is given away before it arrives",
    ("I17",),
    (
        Edit(
            "reservation.split:share_of",
            "rise = max(0, change) if policy.compare_and_set else max(0, flying.target)",
            "rise = change",
        ),
    ),
)

_SPLIT_RESTOCK_GIVEN_AWAY = Planted(
    "split_restock_given_away",
    "what a cancelled order frees is given to other listings, though its own shop put it back",
    ("R1", "I17"),
    (
        Edit(
            "reservation.expectation:deducted",
            "moved = _put_back(field, -delta, instant, slack_s, at)",
            "moved = wants_reading(field, at=at)",
        ),
    ),
)

_SPLIT_HOLD_IGNORED = Planted(
    "split_hold_ignored",
    "what a listing seems to have sold untold is parted once more",
    ("R2", "I17"),
    (
        Edit(
            "reservation.split:share_of",
            "hold, sold = field.hold, field.undeducted if policy.holds_unpaid else 0",
            "hold, sold = 0, field.undeducted if policy.holds_unpaid else 0",
        ),
        Edit("reservation.view:View._suspended", "row.hold * row.pack", "0"),
    ),
)

_SPLIT_PER_ITEM = Planted(
    "split_per_item",
    "each item is parted by itself, and what two are made of is handed out twice",
    ("I17",),
    (
        Edit(
            "reservation.parting:_parted",
            "leader = view.catalogue.leader(shelf)",
            "leader = shelf",
        ),
        Edit(
            "reservation.parting:_parted",
            "_part(view, view.catalogue.group([leader]))",
            "_part(view, [leader])",
        ),
        Edit(
            "reservation.parting:_part",
            "_ours(view, group)",
            "_ours(view, shelves)",
        ),
    ),
)

# -- the storeroom -------------------------------------------------------------------------------

_HELD_ON_SALE = Planted(
    "held_on_sale",
    "what was set aside by hand stays on sale",
    ("I2", "I9"),
    (
        Edit("reservation.view:View.demand", "shelf.reserved + shelf.held", "shelf.reserved"),
        Edit("reservation.view:View._standing", "row.reserved + row.held", "row.reserved"),
        Edit("reservation.pushes:item_derivation", "view.shelf(sku).held", "0"),
    ),
)

_LAPSED_KEPT = Planted(
    "lapsed_kept",
    "what was set aside by a hold that lapsed is not given back",
    ("I2",),
    (
        Edit(
            "reservation.holds:_end",
            "in hold.lines",
            "in (() if state is HoldState.EXPIRED else hold.lines)",
        ),
    ),
)

_HELD_LINE_BY_LINE = Planted(
    "held_line_by_line",
    "each line of a hold is looked at as if the others took nothing",
    ("I2", "I9"),
    (
        Edit("reservation.holds:_first_short", "lines[:position]", "()"),
        Edit("reservation.holds:shortfall", "assert not blocked", "assert True"),
    ),
)

_EXPIRED_COUNTED = Planted(
    "expired_counted",
    "a lot that expires counts until somebody touches it",
    ("I1", "I14"),
    (Edit("reservation.lots:turned", "turns_at = lot.expires_at", "turns_at = None"),),
)

_QUARANTINE_IGNORED = Planted(
    "quarantine_ignored",
    "what is in quarantine is for sale as before",
    ("I1", "I14"),
    (
        Edit(
            "reservation.lots:turned",
            "stands = state(lot, at, place_sells=place_sells)",
            "stands = state(replace(lot, quarantined=False), at, place_sells=place_sells)",
        ),
    ),
)

_CARRIED_TWICE = Planted(
    "carried_twice",
    "what is carried to another pool counts there, and where it came from",
    ("I1", "I14"),
    (
        Edit(
            "reservation.lot_verbs:transfer_moves",
            "(command.origin, -each.quantity),",
            "",
        ),
    ),
)

_HELD_IN_MAIN = Planted(
    "held_in_main",
    "what is set aside at the market is taken from main",
    ("I2", "I9"),
    (
        Edit(
            "reservation.holds:place",
            "draft.hold(shelf_key(line.sku, pool), line.quantity, line.bill)",
            "draft.hold(line.sku, line.quantity, line.bill)",
        ),
        Edit(
            "reservation.holds:_end",
            "draft.hold(shelf_key(line.sku, hold.pool), -line.quantity, line.bill)",
            "draft.hold(line.sku, -line.quantity, line.bill)",
        ),
    ),
)

_RULE_IGNORED = Planted(
    "rule_ignored",
    "what is to be promised of what is finished alone is promised of what can be made",
    ("I9",),
    (
        Edit(
            "reservation.view:View._standing",
            "self.catalogue.ceilings, self._rests(shelves)",
            "{}, self._rests(shelves)",
        ),
    ),
)

_LEFT_TWICE = Planted(
    "left_twice",
    "what is needed of one of two substitutes counts for the name that they share as well",
    ("I9",),
    (
        Edit(
            "reservation.atp:_netted",
            "gross[name] -= max(0, on_hand[sku] - gross[sku])",
            "gross[name] -= max(0, on_hand[sku])",
        ),
    ),
)

BUGS: Mapping[str, Planted] = MappingProxyType(
    {
        bug.name: bug
        for bug in (
            _ACKNOWLEDGED_EARLY,
            _DELIVERY_ID,
            _ECHO_WRITTEN,
            _ECHO_BELIEVED,
            _STALE_VERSION,
            _HASH_BREAKS_TIES,
            _COUNTED_PER_LINE,
            _REFUND_RESTOCKS,
            _PACK_FORGOTTEN,
            _BASELINE_IGNORED,
            _FIRST_PUSH_BLIND,
            _FETCHES_RESTART,
            _CURSOR_IS_NOW,
            _EXPECTED_IS_TARGET,
            _SIGNED_COUNTER,
            _NO_HOLD,
            _HOLD_LET_GO,
            _SURPLUS_SOLD,
            _STALE_READING,
            _BLURRED_READING,
            _HOLD_NOT_EATEN,
            _UNDEDUCTED_IGNORED,
            _GAP_IGNORED,
            _FRESH_READ,
            _TIMEOUT_FAILED,
            _UNKNOWN_APPLIED,
            _RESTART_FORGETS,
            _ZOMBIE_FORGOTTEN,
            _CLEANED_UNSEEN,
            _INTENT_LOST,
            _RAISED_FIRST,
            _TWO_TRANSACTIONS,
            _ROUNDED_UP,
            _CANCELED_NOT_ASKED,
            _SIBLINGS_UNCOMPARED,
            _UNPAID_FOR_SALE,
            _ROTATION_IGNORED,
            _OPEN_FORGOTTEN,
            _UNKEPT_ON_SALE,
            _BACKORDER_TWICE,
            _SHARED_ALONE,
            _SPLIT_RAISED_EARLY,
            _SPLIT_LOWERED_AT_ONCE,
            _SPLIT_RESTOCK_GIVEN_AWAY,
            _SPLIT_HOLD_IGNORED,
            _SPLIT_PER_ITEM,
            _HELD_ON_SALE,
            _LAPSED_KEPT,
            _HELD_LINE_BY_LINE,
            _EXPIRED_COUNTED,
            _QUARANTINE_IGNORED,
            _CARRIED_TWICE,
            _HELD_IN_MAIN,
            _RULE_IGNORED,
            _LEFT_TWICE,
        )
    }
)
"""Every bug by its name."""
