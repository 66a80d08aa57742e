"""Every trap of Faire's page, and the test that shows it met, or why it is none of ours."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
FILES = (
    "connectors/test_faire.py",
    "connectors/test_faire_push.py",
    "connectors/test_faire_orders.py",
    "shops/test_faire_shop.py",
    "connectors/test_checkups.py",
    "contract/test_signatures.py",
    "reservation/test_committed.py",
    "whole/test_faire_and_generic.py",
)
NOT_OURS = "not ours: "

TRAPS: dict[str, str] = {
    # transport and credentials
    "faire.com without www answers 301 and the body is lost":
        "test_the_root_is_had_from_any_form_and_keeps_its_www",
    "a redirect of a write leaves its outcome unknown": "test_a_write_that_fails_is_named",
    "v1 is gone": "test_a_bad_setting_is_named",
    "the brand's token has a header of its own": "test_both_kinds_of_credentials_open_the_account",
    "an application has two headers": "test_both_kinds_of_credentials_open_the_account",
    "a token may lack a scope":
        "test_a_faire_token_without_the_right_to_quantities_is_told",
    "the authorization grant": NOT_OURS + "the token it ends in is configured and never expires",
    "camelCase accessToken in the grant's answer": NOT_OURS + "the grant is made by hand",
    "a call without a real User-Agent is a 403 page":
        "test_a_program_without_a_name_gets_a_403_page",
    "403 with a page is the edge's and not refused credentials":
        "test_a_program_without_a_name_gets_a_403_page",
    "403 by the API itself is a missing right": "test_a_refusal_of_the_api_itself_is_of_the_token",
    "403 and 5xx are not JSON": "test_a_read_that_fails_is_named",
    "a page with status 200": "test_an_answer_that_cannot_be_read_is_unknown",
    "no sandbox": NOT_OURS + "the emulated account stands in",
    "no webhooks": "test_a_platform_without_webhooks_believes_nothing",
    # inventory
    "the parameter is `ids`; a wrong name is 200 and an empty map":
        "test_the_parameter_is_ids_and_is_repeated",
    "repeated, not joined by commas": "test_the_parameter_is_ids_and_is_repeated",
    "the routes deprecated in 2024-03 are not used": "test_the_contract_bites",
    "UNTRACKED instead of a number":
        "test_an_untracked_variant_is_a_problem_until_its_owner_agrees",
    "on hand may be negative": "test_negative_on_hand_is_read",
    "committed is never negative": "test_an_odd_variant_has_a_problem_and_hides_no_other",
    "available = on hand - committed; only on hand is written":
        "test_a_field_is_on_hand_and_what_is_committed_beside_it",
    "ATP pushed as on hand deducts open orders twice":
        "test_the_target_is_written_as_it_is_whatever_is_committed",
    "ATP + live committed hands out an order that is not polled yet":
        "test_the_target_is_written_as_it_is_whatever_is_committed",
    "alarm while our own open units and committed differ":
        "test_a_drift_stands_as_long_as_something_is_missing",
    "what is open and not committed would be on sale":
        "test_a_backorder_that_faire_sells_again_is_not_on_sale",
    "when on hand falls at shipment is not known": "test_shipping_ends_the_commitment",
    "no compare-and-set: the last writer wins": "test_unexpected_number_is_not_written",
    "at most 100 in a call": "test_a_hundred_go_in_one_write",
    "a SKU on two variants refuses the whole batch":
        "test_a_duplicate_sku_refuses_one_line_and_not_the_batch",
    "the first write to an UNTRACKED variant turns its gate on":
        "test_an_untracked_variant_is_never_written",
    "a SKU that we do not know is never turned into 0":
        "test_nothing_is_written_but_what_is_asked_for_and_there",
    "allow_sales_when_out_of_stock lets 0 sell on":
        NOT_OURS + "no answer that we read tells it; the channel's page names it to the owner",
    "sale_state is Faire's own": NOT_OURS + "nothing but on_hand_quantity is ever sent",
    "an unknown variant is missing from a write's answer":
        "test_a_key_missing_from_the_answer_is_unknown",
    "or an unknown variant is 400": "test_an_unknown_variant_that_refuses_the_batch_stands_alone",
    "available_quantity in POST /products is ignored": NOT_OURS + "no product is ever created",
    "products list limit 10 to 250": NOT_OURS + "products are not listed",
    # orders
    "limit 10 to 50": "test_a_first_poll_reads_open_orders_of_any_age_and_then_the_recent",
    "ascending by the last change": "test_an_order_that_changes_between_two_pages_is_seen_again",
    "filters beside a cursor are refused, or needed":
        "test_every_page_is_read_whatever_a_cursor_wants_beside_it",
    "an empty page ends it": "test_an_empty_page_ends_the_poll_whatever_its_cursor",
    "no cursor ends it": "test_one_page_is_one_request",
    "no cursor on a full page": "test_full_pages_without_a_cursor_are_followed_by_number",
    "states of orders and items": "test_table_of_states",
    "an item of a new order may have no state":
        "test_a_new_orders_items_have_no_state_of_their_own",
    "a state that nobody knows yet": "test_a_state_that_nobody_knows_is_still_open",
    "the SKU of a line is that of the day it was ordered":
        "test_lines_go_by_the_variant_and_not_by_the_sku_of_the_day",
    "quantity is pieces and not cases": "test_samples",
    "price_cents is deprecated": NOT_OURS + "no price is read",
    "a tester may be one more piece": "test_a_tester_is_one_more_piece",
    "parent and child of a backorder are not counted twice":
        "test_parent_and_child_are_counted_once",
    "fulfilled by Faire is not our stock":
        "test_an_order_that_faire_fulfils_has_no_lines_of_ours",
    "a pending cancellation is not a cancellation":
        "test_a_cancellation_that_was_only_asked_for_reserves_on",
    "accepting, cancelling, backordering, shipping":
        NOT_OURS + "the brand does it in Faire's portal; WRITE_ORDERS is not asked for",
    "routes /accept, /backorder, /ship do not exist": "test_the_contract_bites",
    "BACKORDERED is reserved only with a date":
        "test_a_backorder_is_reserved_only_with_a_date",
    # limits and errors
    "the error body's shape is not published": "test_an_error_is_shown_in_its_own_words",
    "429 after 3 or 4 writes in a row": "test_two_writes_are_never_less_than_a_second_apart",
    "Retry-After may be missing": "test_faults_answer_as_the_platform_does",
    "timestamps in two forms": "test_an_instant_comes_in_both_forms",
    "an overlap on updated_at_min": "test_the_next_poll_overlaps",
    "creates take an idempotence token": NOT_OURS + "nothing is created",
    "a write is absolute and safe to repeat":
        "test_a_dropped_connection_is_settled_by_the_same_call",
    "answers carry the buyer's name and address": "test_nothing_of_a_buyer_is_kept",
}  # fmt: skip


def names() -> set[str]:
    """Return the names of all tests of Faire."""
    return {
        node.name
        for file in FILES
        for node in ast.walk(ast.parse((TESTS / file).read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


@pytest.mark.parametrize("trap", TRAPS)
def test_every_trap_is_tested_or_none_of_ours(trap: str) -> None:
    """A trap names a test that exists, or says why there is none."""
    met = TRAPS[trap]
    assert met in names() or (met.startswith(NOT_OURS) and len(met) > len(NOT_OURS) + 10)
