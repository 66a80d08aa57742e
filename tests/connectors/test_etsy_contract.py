"""Every request against Etsy's own document, and every trap to a test.

Each request that is sent in tests passes through `EtsyDoor`, which holds it, and the answer of the
emulated shop, against the OpenAPI document; that none is left out is shown by tests/contract. Here
it is shown that this check bites, which scopes are needed, and what a test (or a reason) there is
for each row of the channel's page of traps.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import jsonschema
import pytest

from stockpush.connectors.etsy import wire
from stockpush.connectors.etsy.granting import SCOPES
from stockpush.sim.shops.base import ShopRequest
from tests.connectors import etsy_contract
from tests.connectors.etsy_world import (
    needs_contract,
    sample,
)
from tests.connectors.trap_table import Traps, missing
from tests.contract.kit import kit
from tests.contract.stage import life

ROOT = "/v3/application"
HEADERS = {"x-api-key": "k:s"}


@needs_contract
async def test_every_scope_that_is_needed_is_asked_for():
    """A whole life of a channel needs no more than what `connect` has granted."""
    stage = kit("etsy").open()
    await life(kit("etsy"), stage)
    scopes = {
        each
        for request in stage.api.sent
        for needs in etsy_contract.operation(request.method, request.path)[1].get("security", [])
        for each in needs.get("oauth2", [])
    }
    assert scopes
    assert scopes <= set(SCOPES)


@needs_contract
@pytest.mark.parametrize(
    ("name", "schema"),
    [
        ("receipt_paid", "ShopReceipt"),
        ("receipt_canceled", "ShopReceipt"),
        ("receipts_page", "ShopReceipts"),
    ],
)
def test_samples_of_orders_are_of_etsys_schema(name: str, schema: str):
    """Written from the document, and held against it."""
    etsy_contract.validate(json.loads(sample(name)), schema)


@needs_contract
@pytest.mark.parametrize(
    ("method", "path", "query", "kind", "body"),
    [
        ("GET", "/listings/1/inventory", (("includes", "Shop"),), "", b""),
        ("GET", "/listings/1/inventory", (("legacy", "true"),), "", b""),
        ("GET", "/listings/batch/inventory", (), "", b""),
        ("GET", "/listings/batch/inventory", (("listing_ids", "1,x"),), "", b""),
        ("GET", "/shops/1/receipts", (("limit", "101"),), "", b""),
        ("GET", "/shops/1/receipts", (("min_last_modified", "5"),), "", b""),
        ("GET", "/shops/1/receipts", (("sort_on", "size"),), "", b""),
        ("PUT", "/listings/1/inventory", (), "text/plain", b"{}"),
        ("PUT", "/listings/1/inventory", (), "application/json", b"{}"),
        ("PUT", "/listings/1/inventory", (), "application/json", b'{"products":[{}]}'),
        (
            "PUT",
            "/listings/1/inventory",
            (("max_variations_supported", "4"),),
            "application/json",
            b'{"products":[]}',
        ),
        (
            "PUT",
            "/listings/1/inventory",
            (),
            "application/json",
            b'{"products":[{"product_id":1,"offerings":[]}]}',
        ),
        (
            "PATCH",
            "/shops/1/listings/1",
            (),
            "application/x-www-form-urlencoded",
            b"state=sold_out",
        ),
    ],
)
def test_the_check_of_requests_bites(method: str, path: str, query: Any, kind: str, body: bytes):
    """What Etsy's document does not allow is found."""
    headers = {**HEADERS, "content-type": kind}
    with pytest.raises((AssertionError, jsonschema.ValidationError)):
        etsy_contract.check_request(ShopRequest(method, ROOT + path, query, headers, body))


@needs_contract
@pytest.mark.parametrize(
    ("path", "status", "body"),
    [
        ("/listings/1/inventory", 200, b'{"products":[],"etag":"1"}'),
        ("/listings/1/inventory", 200, b'{"products":[{"sku":null}]}'),
        ("/listings/1/inventory", 418, b'{"error":"x"}'),
        ("/listings/1/inventory", 404, b'{"message":"x"}'),
        ("/shops/1/receipts/1", 200, b'{"receipt_id":1,"status":"Paid"}'),
    ],
)
def test_the_check_of_answers_bites(path: str, status: int, body: bytes):
    """What the emulated shop would make up is found."""
    with pytest.raises((AssertionError, jsonschema.ValidationError)):
        etsy_contract.check_answer(ShopRequest("GET", ROOT + path), status, body)


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ({}, 0.0),
        ({"x-remaining-this-second": "1"}, 0.0),
        ({"x-remaining-this-second": "0"}, 1.0),
        ({"x-remaining-this-second": "zero"}, 0.0),
        ({"x-limit-per-day": "10000", "x-remaining-today": "501"}, 0.0),
        ({"x-limit-per-day": "10000", "x-remaining-today": "500"}, 8.64),
        ({"x-limit-per-day": "0", "x-remaining-today": "0"}, 0.0),
        ({"x-limit-per-day": "9" * 12, "x-remaining-today": "0"}, 0.0),
    ],
)
def test_the_allowance_is_read_from_the_headers(headers: Mapping[str, str], wait_s: float):
    """No number of ours is used, and none that cannot be one."""
    assert wire.wait_for_allowance(headers) == wait_s


# -- the traps -----------------------------------------------------------------------------------

WRITING, READING = "test_etsy_writing.py", "test_etsy.py"
ORDERS, DOCUMENT = "test_etsy_orders.py", "test_etsy_document.py"
WEBHOOKS, ACCESS, HERE = "test_etsy_webhooks.py", "test_etsy_access.py", "test_etsy_contract.py"
CREDENTIALS = "../engine/test_credentials.py"
SHOP, FAULTS = "../shops/test_etsy_shop.py", "../contract/test_faults.py"

TRAPS: Traps = {
    # 1.1 changes of 2025-2026
    "readiness_state_id is required and nullable; readiness_state_on_property is echoed": (
        f"{DOCUMENT}::test_nothing_but_quantities_changes_on_the_way",
        f"{SHOP}::test_a_document_of_another_shape_is_400_and_changes_nothing",
    ),
    "webhooks exist, and only for some apps": (
        f"{READING}::test_an_app_with_personal_access_has_no_webhook_secret",
    ),
    "x-api-key is keystring:shared_secret": (
        f"{SHOP}::test_the_shared_secret_belongs_to_the_key",
        f"{READING}::test_the_door_says_who_it_is",
    ),
    "includes=Inventory was removed: batch/inventory instead": (
        f"{READING}::test_fields_of_many_listings_are_read_in_one_request",
        f"{WRITING}::test_a_document_without_its_listing_is_completed",
    ),
    "the query parameter legacy was dropped": (f"{HERE}::test_the_check_of_requests_bites",),
    "listings may have three properties": (
        f"{WRITING}::test_a_third_variation_is_said_to_be_known",
        f"{DOCUMENT}::test_three_properties_are_said_to_be_known",
    ),
    # 1.2 transport, auth, scopes
    "authorize with the keystring only, PKCE S256": (
        f"{ACCESS}::test_the_address_asks_for_what_is_needed_and_shows_no_secret",
        f"{ACCESS}::test_pkce_is_that_of_the_rfc",
    ),
    "the token endpoint takes a form at the same root": (
        f"{ACCESS}::test_the_call_is_a_form_to_the_same_root",
        f"{ACCESS}::test_the_endpoint_is_that_of_the_document",
    ),
    "access for an hour, refresh for 90 days, rotated on every use": (
        f"{ACCESS}::test_a_pair_is_renewed_by_the_one_before_it",
        f"{SHOP}::test_a_refresh_token_is_worth_one_use",
        f"{SHOP}::test_a_refresh_token_ends_after_ninety_days",
    ),
    "the new pair is durable before it is used; one refresher": (
        f"{CREDENTIALS}::test_access_that_cannot_be_saved_is_not_used",
        f"{CREDENTIALS}::test_two_processes_renew_once",
        f"{CREDENTIALS}::test_many_tasks_renew_once",
        f"{ACCESS}::test_a_pair_is_renewed_by_the_one_before_it",
    ),
    "the token's prefix is the user": (
        f"{ACCESS}::test_a_grant_from_the_browser_to_the_first_call",
        f"{ACCESS}::test_the_shop_s_number_is_told",
    ),
    "invalid_grant: a person must grant again": (
        f"{ACCESS}::test_a_refresh_token_that_was_used_is_for_a_person",
    ),
    "scopes": (
        f"{HERE}::test_every_scope_that_is_needed_is_asked_for",
        f"{SHOP}::test_scopes_are_those_of_the_document",
    ),
    "there is no sandbox": "Nothing to test: the emulated shop stands in, held to the document.",
    # 1.3 reading
    "one unknown id makes a batch 404": (
        f"{READING}::test_one_unknown_listing_does_not_hide_the_others",
    ),
    "at most 100 ids": (f"{READING}::test_more_than_a_hundred_listings_are_read_by_hundreds",),
    "SKU is empty for listings of other sellers": (f"{READING}::test_what_leads_nowhere_is_told",),
    "no operation finds a SKU": (
        f"{READING}::test_a_wrong_reference_is_named",
        f"{READING}::test_values_or_a_sku_lead_to_a_field",
    ),
    "getListingsByShop?includes=Inventory": "Not used: batch/inventory is.",
    "listing quantity is the sum; a SKU may be empty or repeat": (
        f"{READING}::test_a_quantity_may_vary_by_one_of_two_properties",
        f"{ORDERS}::test_a_renamed_value_is_found_by_its_sku",
    ),
    # 1.4 writing
    "the body must be application/json": (f"{SHOP}::test_a_document_must_say_that_it_is_json",),
    "a product left out is removed": (
        f"{SHOP}::test_a_product_left_out_is_removed",
        f"{WRITING}::test_all_lines_of_a_listing_go_in_one_put",
    ),
    "empty property_values collapse a listing": (
        f"{SHOP}::test_products_without_values_collapse_to_one",
        f"{DOCUMENT}::test_nothing_but_quantities_changes_on_the_way",
    ),
    "property values: required keys, no parentheses": (
        f"{WRITING}::test_parentheses_in_a_value_are_named_as_the_likely_reason",
        f"{SHOP}::test_a_document_of_another_shape_is_400_and_changes_nothing",
    ),
    "price is a float of amount/divisor": (
        f"{DOCUMENT}::test_a_price_keeps_the_digits_of_its_currency",
        f"{DOCUMENT}::test_a_price_without_digits_is_never_invented",
    ),
    "strip ids, is_deleted, scale_name; skip what is deleted": (
        f"{DOCUMENT}::test_a_document_goes_back_as_the_golden_file_says",
        f"{WRITING}::test_deleted_products_are_skipped",
    ),
    "echo *_on_property; with quantity_on_property=[] all share one number": (
        f"{DOCUMENT}::test_nothing_but_quantities_changes_on_the_way",
        f"{WRITING}::test_a_listing_whose_quantity_does_not_vary_has_one_field",
    ),
    "999 of one offering": (f"{WRITING}::test_more_than_999_is_never_sent",),
    "70 values, 400 or 2500 products": (
        "Not applicable: products are never added, so a document is no larger than it was."
    ),
    "409 without max_variations_supported": (
        f"{SHOP}::test_a_third_property_needs_the_callers_word",
        f"{WRITING}::test_a_409_is_read_and_written_once_more",
    ),
    "a listing without variations has property_values []": (
        f"{DOCUMENT}::test_a_document_goes_back_as_the_golden_file_says",
    ),
    "no ETag, no delta": (
        f"{WRITING}::test_an_unexpected_number_is_a_conflict_of_the_whole_listing",
        f"{SHOP}::test_a_replace_overwrites_a_sale",
    ),
    "one variation at 0 is fine": (f"{WRITING}::test_zero_beside_something_on_sale_is_written",),
    "all offerings at 0 is refused": (
        f"{SHOP}::test_every_quantity_zero_is_refused",
        f"{WRITING}::test_the_last_unit_takes_the_listing_off_sale",
        f"{WRITING}::test_ask_leaves_the_listing_and_opens_a_repair",
    ),
    "a hidden listing keeps a quantity that a seller may put on sale by hand": (
        f"{WRITING}::test_one_unit_is_left_in_the_hidden_document",
        f"{WRITING}::test_what_is_hidden_counts_as_zero_when_it_comes_back",
    ),
    "oddities of hiding: edit, quantity cannot be empty, cannot activate": (
        f"{WRITING}::test_a_refused_state_is_told_and_the_note_taken_back",
        f"{WRITING}::test_a_state_that_cannot_be_set_back_is_for_a_person",
        f"{WRITING}::test_a_listing_that_stays_hidden_is_unknown",
        f"{READING}::test_a_state_that_nobody_knows_is_named",
    ),
    "sold_out by itself; activating it renews for a fee": (
        f"{SHOP}::test_activating_what_is_sold_out_sets_one_and_costs_a_fee",
        f"{WRITING}::test_a_sold_out_listing_is_not_renewed_without_leave",
        f"{WRITING}::test_with_leave_it_is_renewed_then_written",
    ),
    "remember that we deactivated it": (
        f"{WRITING}::test_it_is_put_on_sale_again_when_stock_returns",
        f"{WRITING}::test_a_note_survives_what_happened_to_the_request",
        f"{WRITING}::test_what_its_owner_put_on_sale_is_theirs_from_then_on",
    ),
    "a sale between GET and PUT is put back": (
        f"{WRITING}::test_a_sale_in_the_gap_is_overwritten_and_its_instant_is_inside",
        f"{WRITING}::test_a_listing_that_was_read_too_long_ago_is_not_written",
        f"{WRITING}::test_the_read_pays_for_both_requests",
    ),
    "skip the PUT when nothing changes": (f"{WRITING}::test_an_equal_number_is_not_written",),
    "ids of products and offerings change": (
        f"{SHOP}::test_a_replace_gives_every_product_a_new_id",
        f"{WRITING}::test_new_ids_after_a_write_do_not_matter",
        f"{READING}::test_a_wrong_reference_is_named",
    ),
    # 1.5 orders
    "statuses in any case": (
        f"{ORDERS}::test_every_status_has_its_counts",
        f"{ORDERS}::test_every_status_of_the_document_is_known",
    ),
    "a line resolves by values, else SKU; some resolve to nothing": (
        f"{ORDERS}::test_a_line_is_named_by_the_field_it_was_taken_off",
        f"{ORDERS}::test_a_renamed_value_is_found_by_its_sku",
        f"{ORDERS}::test_a_line_without_a_listing_has_no_name",
    ),
    "min_last_modified does not bring what was cancelled": (
        f"{ORDERS}::test_a_cancellation_is_found_although_the_list_hides_it",
        f"{ORDERS}::test_a_receipt_in_both_lists_is_told_once",
    ),
    "a partial refund does not move updated_timestamp": (
        f"{ORDERS}::test_a_partial_refund_is_found_by_the_receipts_number",
    ),
    "a cancelled receipt used to be 404": (
        f"{ORDERS}::test_a_receipt_is_gone_only_when_it_is_missed_twice",
    ),
    "the order of results differs: always say it": (
        f"{ORDERS}::test_the_first_poll_reads_what_is_open_then_what_is_recent",
    ),
    "offset paging shifts": (
        f"{ORDERS}::test_a_change_between_two_pages_hides_nothing",
        f"{ORDERS}::test_more_than_a_page_in_one_second_is_read_by_offset",
    ),
    "nobody knows whether a cancel restocks": (
        f"{ORDERS}::test_what_a_cancellation_did_to_the_number_is_unknown",
    ),
    # 1.6 webhooks
    "set up by hand in the portal": "docs/channels/etsy.md says how; there is no API for it.",
    "no listing or refund events": (f"{SHOP}::test_events_follow_a_receipt",),
    "the payload is flat": (f"{WEBHOOKS}::test_every_sample_parses",),
    "shop_id is a number or text; the host is never called": (
        f"{WEBHOOKS}::test_whatever_happened_a_receipt_is_fetched",
        f"{WEBHOOKS}::test_the_host_of_the_address_is_never_called",
    ),
    "the signature may be bare": (f"{WEBHOOKS}::test_a_bare_signature_is_believed_too",),
    "the console's test message did not validate for some": (
        "Not applicable: what is not signed is refused and counted; the first real one decides."
    ),
    "eight attempts over 27 hours": (
        f"{WEBHOOKS}::test_every_attempt_is_signed_for_its_own_instant",
        f"{SHOP}::test_an_attempt_is_made_eight_times_over_a_day",
    ),
    "told twice: one webhook-id, one receipt, one transaction": (
        f"{WEBHOOKS}::test_attempts_of_one_event_have_one_name",
        "../engine/test_intake.py::test_deliveries_with_a_signed_name_are_told_apart_by_it",
        f"{ORDERS}::test_a_receipt_in_both_lists_is_told_once",
        f"{ORDERS}::test_two_lines_of_one_id_are_unreadable",
    ),
    # 1.7 limits and errors
    "limits are read from the headers": (
        f"{HERE}::test_the_allowance_is_read_from_the_headers",
        f"{WRITING}::test_the_allowance_is_heeded",
    ),
    "429 with retry-after": (f"{WRITING}::test_a_read_that_fails_sends_nothing",),
    "two calls for a push": (f"{WRITING}::test_expected_number_is_replaced",),
    "errors by class": (
        f"{FAULTS}::test_a_read_names_the_fault",
        f"{WRITING}::test_a_refused_document_is_for_a_person",
        f"{WRITING}::test_a_second_409_is_for_a_person",
        f"{WRITING}::test_one_listings_odd_document_does_not_keep_the_others",
        f"{WRITING}::test_an_unknown_outcome_is_learnt_by_reading",
    ),
    "the request's id is told": (f"{WRITING}::test_a_refused_document_is_for_a_person",),
}
"""Each row of traps in the research on Etsy -> the tests that show it, or why there is none."""


def test_every_trap_has_a_test_that_exists_or_a_reason():
    """A name that no test has would be a trap that nobody watches."""
    assert missing(TRAPS) == []
