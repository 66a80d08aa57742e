"""`channels`, `adopt`, `plan`, `resync` and `deliveries`, on what a daemon would have left."""

from __future__ import annotations

import json
import sqlite3

from stockpush import compose, keys
from stockpush.messages import NoteHeard
from stockpush.model import LOOK_AT, HeardBy
from stockpush.store.lock import DaemonLock
from tests.cli.daemon_rows import SAMPLES, asked, commit, resolved, with_parts
from tests.cli.terminal import Terminal

ETSY = """
[channels.my-etsy]
connector = "etsy"
shop_id = 77
keystring = "env:NOT_SET_HERE"
shared_secret = "env:NOT_SET_HERE"
"""

# -- channels --------------------------------------------------------------------------------


def test_channels_without_their_secrets(sellers: Terminal):
    """Reading needs no channel's credentials; the webhook path is the daemon's."""
    rows = sellers.done("channels", "--json").json["data"]
    key = keys.read_secret_key((sellers.folder / "stockpush.key").read_text())
    assert [(row["name"], row["mode"], row["listings"]) for row in rows] == [
        ("my-shopify", "live", 2),
        ("my-woo", "shadow", 1),
    ]
    token = keys.webhook_token(key, "my-shopify")
    assert rows[0]["webhook_path"] == f"/webhooks/my-shopify/{token}"
    assert (rows[0]["state"], rows[0]["latency_s"]) == ("paused", None)
    assert rows[0]["state_reason"] == "no daemon is running: stockpush run"


def test_channels_while_a_daemon_runs(sellers: Terminal):
    """What the daemon recorded; people see the whole address."""
    config = sellers.folder / "stockpush.toml"
    config.write_text(config.read_text().replace("#public_url", "public_url"))
    with DaemonLock(sellers.folder / "stockpush.db"):
        rows = sellers.done("channels", "--json").json["data"]
        shown = sellers.done("channels").out
    assert [(row["state"], row["state_reason"]) for row in rows] == [("ok", None), ("ok", None)]
    assert f"https://stock.example.com{rows[0]['webhook_path']}\n" in shown
    assert "ORDERS_CREATE, ORDERS_UPDATED, " in shown
    assert "order.created, order.updated, order.deleted, order.restored, product.updated" in shown


def test_a_platform_without_webhooks_has_no_address(sellers: Terminal):
    """Faire is polled: there is nothing to subscribe, for people or for scripts."""
    config = sellers.folder / "stockpush.toml"
    faire = '[channels.my-faire]\nconnector = "faire"\naccess_token = "env:FAIRE_TOKEN"\n'
    config.write_text(f"{config.read_text()}\n{faire}")
    rows = sellers.done("channels", "--json").json["data"]
    assert {row["name"]: row["webhook_path"] is None for row in rows} == {
        "my-shopify": False,
        "my-woo": False,
        "my-faire": True,
    }
    shown = sellers.done("channels").out
    assert "  my-faire\n    " not in shown
    assert "my-faire: orders come by polling (the platform has no webhooks)" in shown


def test_a_channel_without_the_secret_of_its_webhooks_is_polled(sellers: Terminal):
    """An Etsy app with personal access: nothing to subscribe, and it is said what would be."""
    config = sellers.folder / "stockpush.toml"
    config.write_text(f"{config.read_text()}\n{ETSY}")
    rows = sellers.done("channels", "--json").json["data"]
    assert {row["name"]: row["webhook_path"] is None for row in rows}["my-etsy"]
    shown = sellers.done("channels").out
    assert "  my-etsy\n    " not in shown
    assert "order.paid" not in shown
    assert "my-etsy: orders come by polling (no webhook_secret is configured; " in shown
    config.write_text(f'{config.read_text()}webhook_secret = "env:NOT_SET_HERE"\n')
    shown = sellers.done("channels").out
    assert "  my-etsy\n    /webhooks/my-etsy/" in shown
    assert "polling" not in shown


def test_how_soon_orders_are_known_is_shown_by_the_faster_way(sellers: Terminal):
    """What the daemon measured: the median, and whether webhooks or polls told of the orders."""

    def shown_after(channel: str, *heard: HeardBy) -> str:
        commit(sellers, NoteHeard(channel, heard))
        (line,) = [row for row in sellers.done("channels").out.splitlines() if channel in row][:1]
        return line

    by_poll = HeardBy("poll", 31.25, 58.5, 7)
    assert "(" not in shown_after("my-woo")
    assert "31.2 s (poll)" in shown_after("my-woo", by_poll)
    assert "0.5 s (webhook)" in shown_after("my-shopify", HeardBy("webhook", 0.5, 2.0, 9), by_poll)
    shopify, woo = (row["heard_s"] for row in sellers.done("channels", "--json").json["data"])
    polled = {"p50": 31.25, "p95": 58.5}
    assert shopify == {"webhook": {"p50": 0.5, "p95": 2.0}, "poll": polled}
    assert woo == {"webhook": None, "poll": polled}


def test_without_a_public_address_the_paths_are_shown(sellers: Terminal):
    """And what to set, so that they become addresses."""
    result = sellers.done("channels")
    path = sellers.done("channels", "--json").json["data"][1]["webhook_path"]
    assert f"    {path}\n" in result.out
    assert "set public_url" in result.err


def test_a_key_for_the_daemon_alone_hides_the_addresses_and_nothing_else(sellers: Terminal):
    """The rest is shown; stderr says why the addresses are not."""
    (sellers.folder / "stockpush.key").unlink()
    result = sellers.done("channels", "--json")
    assert [row["webhook_path"] for row in result.json["data"]] == [None, None]
    assert "daemon.secret_key" in result.err


def test_no_channel_is_no_error(terminal: Terminal):
    """A maker may use the stock alone."""
    assert "Next: stockpush init" in terminal.done("channels").out
    terminal.done("init")
    assert "Next: edit stockpush.toml" in terminal.done("channels").out


# -- adopt and plan --------------------------------------------------------------------------


def test_adopt_compares_first_and_takes_live_channels(sellers: Terminal):
    """Side by side without --yes; with it, the live channel's listings that were read."""
    refused = sellers("adopt")
    assert refused.code == 2
    rows = [line.split() for line in refused.out.splitlines()]
    assert ["my-shopify", "live", "variant_id=808950810", "candle-lav", "4", "21", "+17"] in rows
    assert ["my-shopify", "live", "variant_id=2", "soap-lav", "not", "read"] in rows
    assert ["my-woo", "shadow", "product_id=30", "soap-lav", "102", "102", "0"] in rows
    assert sellers.done("adopt", "--dry-run", "--json").json["adopted"] == 0
    answer = sellers.done("adopt", "--yes", "--json").json
    assert answer["adopted"] == 1
    assert [row["shows"] for row in answer["data"]] == [None, 4, 102]
    left = sellers.done("adopt", "--dry-run", "--json").json["data"]
    assert [row["channel"] for row in left] == ["my-shopify", "my-woo"]


def test_the_reason_for_adopting_is_kept(sellers: Terminal):
    """With who it was and which listings, as an answered request: nothing is left to be done."""
    answer = sellers.done("adopt", "--yes", "--reason", "counted on Sunday", "--json").json
    assert answer["id"] == "rq-1"
    with sqlite3.connect(sellers.folder / "stockpush.db") as database:
        (row,) = database.execute("SELECT kind, arguments FROM request WHERE answered_at > 0")
    database.close()
    kept = json.loads(row[1])
    assert (row[0], kept["reason"]) == ("adopt", "counted on Sunday")
    assert kept["actor"].startswith("cli:")
    assert [channel for channel, _ in kept["listings"]] == ["my-shopify"]
    assert asked(sellers) == []


def test_a_shadow_channel_is_adopted_by_name(sellers: Terminal):
    """Whoever names it means it; otherwise it is said what to type."""
    assert "Not read yet, and so not adopted: soap-lav" in sellers.done("adopt", "--yes").out
    commit(sellers, *resolved("my-shopify", "variant/2", "2", shows=1))
    sellers.done("adopt", "--yes")
    result = sellers.done("adopt")
    assert "Next: stockpush adopt my-woo" in result.out
    named = sellers.done("adopt", "MY-WOO", "--yes")
    assert 'set mode = "live"' in named.out
    assert "adopted already" in sellers.done("adopt").out


def test_the_plan_says_what_would_be_written(sellers: Terminal):
    """Adopted and live, or in shadow as a rehearsal; nothing that is not read."""
    assert sellers.done("plan", "--json").json == {"data": [], "parked": []}
    sellers.done("receive", "beeswax", "1kg")
    rows = sellers.done("plan", "--json").json["data"]
    assert [(row["channel"], row["from"], row["to"]) for row in rows] == [("my-woo", 102, 142)]
    assert "shadow" in rows[0]["because"]
    shown = [line.split() for line in sellers.done("plan").out.splitlines()]
    assert ["my-woo", "product_id=30", "soap-lav", "102", "142"] in [line[:5] for line in shown]


def test_what_a_person_must_mend_is_in_the_plan_and_counted_by_channel(sellers: Terminal):
    """A listing that cannot be written stands in no table of numbers: why, and what to do, is told
    in words, each reason once.
    """
    reason = "Shopify does not track its quantity: turn on “Track quantity” for the variant."
    with sqlite3.connect(sellers.folder / "stockpush.db") as database:
        database.execute(
            "UPDATE listing SET parked_reason = ? WHERE channel = 'my-shopify'", (reason,)
        )
    database.close()
    parked = sellers.done("plan", "--json").json["parked"]
    assert [(row["channel"], row["sku"], row["ref"]) for row in parked] == [
        ("my-shopify", "soap-lav", {"variant_id": 2}),
        ("my-shopify", "candle-lav", {"variant_id": 808950810}),
    ]
    assert {row["reason"] for row in parked} == {reason}
    shown = sellers.done("plan").out
    assert "Not written until it is mended" in shown
    assert shown.count("Track quantity") == 1
    assert "soap-lav on my-shopify, candle-lav on my-shopify" in shown
    counts = {row["name"]: row["parked"] for row in sellers.done("channels", "--json").json["data"]}
    assert counts == {"my-shopify": 2, "my-woo": 0}
    shown = sellers.done("channels").out
    assert "2 (2 parked)" in shown
    assert "Next: stockpush plan" in shown


# -- resync ----------------------------------------------------------------------------------


def test_resync_leaves_a_request_with_the_names_as_they_are(sellers: Terminal):
    """The channel and the item are found whatever their case; the reason is kept."""
    typed = ("resync", "--channel", "MY-SHOPIFY", "--sku", "Soap-LAV", "--reason", "counted")
    result = sellers.done(*typed)
    assert "at the next `stockpush run`" in result.out
    arguments = {"channel": "my-shopify", "sku": "soap-lav", "reason": "counted"}
    assert asked(sellers) == [("resync", arguments)]


def test_resync_of_everything_wants_agreement(sellers: Terminal):
    """Without --yes nothing is asked for; a rehearsal prints the plan and asks for nothing."""
    sellers.done("receive", "beeswax", "1kg")
    assert sellers("resync", "--all").code == 2
    rehearsed = sellers.done("resync", "--all", "--dry-run", "--json").json
    assert (rehearsed["id"], rehearsed["daemon_runs"]) == (None, False)
    assert [row["to"] for row in rehearsed["data"]] == [142]
    assert "142" in sellers.done("resync", "--all", "--dry-run").out
    assert asked(sellers) == []
    with DaemonLock(sellers.folder / "stockpush.db"):
        done = sellers.done("resync", "--all", "--yes", "--json").json
    assert (done["id"], done["daemon_runs"]) == ("rq-1", True)
    assert asked(sellers) == [("resync", {})]


# -- deliveries ------------------------------------------------------------------------------


def test_the_inbox_is_listed_newest_first_in_pages(inbox: Terminal):
    """`next` is the cursor of the following page; a state can be asked for alone."""
    first = inbox.done("deliveries", "--limit", "2", "--json").json
    assert [row["id"] for row in first["data"]] == [3, 2]
    second = inbox.done("deliveries", "--cursor", str(first["next"]), "--json").json
    assert [row["id"] for row in second["data"]] == [1]
    assert second["next"] is None
    waiting = inbox.done("deliveries", "--state", "quarantined", "--json").json["data"]
    assert [(row["id"], row["state"]) for row in waiting] == [
        (2, "quarantined"),
        (1, "quarantined"),
    ]
    shown = inbox.done("deliveries")
    assert "\\x1b[31mnot understood" in shown.out
    assert "\x1b" not in shown.out


def test_one_delivery_shows_its_body_only_where_asked(inbox: Terminal):
    """A body names a buyer."""
    bare = inbox.done("deliveries", "show", "2", "--json").json
    assert (bare["state"], bare["kept"], bare["body"]) == ("quarantined", True, None)
    body = inbox.done("deliveries", "show", "2", "--body", "--json").json["body"]
    assert json.loads(body) == json.loads((SAMPLES / "orders_create.json").read_bytes())
    shown = inbox.done("deliveries", "show", "2")
    assert "Try it again: stockpush deliveries replay 2" in shown.out
    assert "email" not in shown.out
    assert "--body" in shown.err


def test_a_replay_reads_it_again_and_the_sale_counts(inbox: Terminal):
    """Three candles, sold in a body that could not be read: reserved now, the body is gone."""
    before = inbox.done("stock", "candle-lav", "--json").json["data"][0]
    rehearsed = inbox.done("deliveries", "replay", "2", "--dry-run", "--json").json
    assert rehearsed["state"] == "quarantined"
    answer = inbox.done("deliveries", "replay", "2", "--json").json
    assert (answer["id"], answer["state"]) == (2, "applied")
    after = inbox.done("stock", "candle-lav", "--json").json["data"][0]
    assert (before["reserved"], after["reserved"]) == ("0", "3")
    assert inbox.done("deliveries", "show", "2", "--json").json["kept"] is False
    again = inbox("deliveries", "replay", "2", "--json")
    assert (again.code, again.json["refused"]) == (5, "not_quarantined")
    inbox.done("check")


def test_a_replay_that_still_cannot_be_read_stays(inbox: Terminal):
    """The fault is the channel's or ours, not the user's: exit code 1, and it is kept."""
    result = inbox("deliveries", "replay", "1", "--json")
    assert (result.code, result.json["error"]["code"]) == (1, "payload_invalid")
    assert inbox.done("deliveries", "show", "1", "--json").json["state"] == "quarantined"


def test_options_before_the_subcommand_are_not_ignored(inbox: Terminal):
    """`deliveries --config FILE show 1` would read another database than it says."""
    result = inbox("deliveries", "--state", "pending", "show", "1")
    assert result.code == 2
    assert "go after show" in result.err


def test_what_to_look_at_is_told_until_a_resync(sellers: Terminal):
    """Something other than a quantity came out differently: `channels` says so, and what to do."""

    async def remark(parts: compose.Parts) -> None:
        await parts.store.note("my-shopify", f"{LOOK_AT}30", "Its price is another one.")

    with_parts(sellers, remark)
    shown = sellers.done("channels").out
    assert "my-shopify 30: Its price is another one." in shown
    assert "stockpush resync" in shown
    row = sellers.done("channels", "--json").json["data"][0]
    assert row["look_at"] == [{"field": "30", "reason": "Its price is another one."}]


def test_a_setting_of_a_connector_is_named_with_its_channel(terminal: Terminal) -> None:
    """Two shops of one platform have the same keys: only the channel tells them apart."""
    terminal.done("init")
    config = terminal.folder / "stockpush.toml"
    shops = [
        f"""
[channels.{name}]
connector = "generic"
base_url = "http://127.0.0.1:9"
access_token = "0123456789abcdef"
webhook_secret = "{secret}"
"""
        for name, secret in (("one", "whsec_MDEyMzQ1Njc4OWFiY2RlZg=="), ("two", "not base64!"))
    ]
    config.write_text(config.read_text() + "".join(shops))
    refused = terminal("run")
    assert refused.code == 2
    assert "channels.two.webhook_secret" in refused.err
