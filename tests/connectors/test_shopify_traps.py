"""Every trap of the channel's page on Shopify, and the tests that meet it, or why none does."""

from __future__ import annotations

from tests.connectors.trap_table import Traps, missing

WRITING, READING, ORDERS = (
    "test_shopify_writing.py",
    "test_shopify_reading.py",
    "test_shopify_orders.py",
)
WEBHOOKS, ACCESS, CONTRACT = (
    "test_shopify_webhooks.py",
    "test_shopify_access.py",
    "test_shopify_contract.py",
)
LOCATION, BULK, CHECKUPS = "test_shopify_location.py", "test_shopify_bulk.py", "test_checkups.py"
SHOP, SPINE, FAULTS = (
    "../shops/test_shopify_shop.py",
    "../whole/test_spine.py",
    "../whole/test_faults.py",
)
FULL, WATCHDOG = "../engine/test_full_read.py", "../whole/test_watchdog.py"
CLI, DOG = "../cli/test_channels.py", "../engine/test_watchdog.py"

TRAPS: Traps = {
    # 0 what decides the design
    "a compare with a fresh read does not stop overselling": (
        f"{WRITING}::test_an_unseen_sale_is_never_put_back",
        f"{SPINE}::test_that_test_turns_red_with_a_fresh_read",
        f"{SPINE}::test_a_sale_the_daemon_has_not_seen_is_never_put_back",
    ),
    "a webhook is a hint: ingestion is a merge by state": (
        f"{ORDERS}::test_webhook_and_graphql_give_equal_facts",
        f"{SPINE}::test_duplicated_and_reordered_deliveries_count_once",
    ),
    # 1.1 version, endpoint, access
    "the version is in the path, and is supported for a year": (
        f"{CONTRACT}::test_the_request_on_the_wire",
        f"{CHECKUPS}::test_a_version_that_shopify_has_retired_is_told",
    ),
    "REST Admin is legacy": "Not used: everything goes by GraphQL but the token endpoint.",
    "apps of the shop's admin have a token for good, and are made no more": (
        f"{ACCESS}::test_exactly_one_kind_is_configured",
    ),
    "client credentials: 24 hours, no refresh token": (
        f"{ACCESS}::test_client_credentials_are_asked_for_again_each_day",
    ),
    "expiring tokens: an hour, and a refresh token that rotates": (
        f"{ACCESS}::test_a_refresh_token_rotates_each_hour",
        f"{ACCESS}::test_what_is_granted",
    ),
    "a refresh whose answer was lost": (f"{ACCESS}::test_a_lost_answer_is_asked_for_again",),
    "one refresher; the new pair is durable before it is used": (
        "../engine/test_credentials.py::test_two_processes_renew_once",
        "../engine/test_credentials.py::test_access_that_cannot_be_saved_is_not_used",
    ),
    "a token is refused before its time": (
        "../engine/test_credentials.py::test_access_that_is_refused_is_renewed_once",
        f"{ACCESS}::test_an_app_that_was_taken_away_needs_a_person",
    ),
    "public apps must have expiring tokens": "The owner's app is none; all kinds are taken.",
    "scopes": (f"{CHECKUPS}::test_shopify_with_everything_wrong",),
    "orders older than 60 days need a scope of their own": (
        f"{CHECKUPS}::test_shopify_with_everything_wrong",
    ),
    "customer fields need an approval": (f"{CONTRACT}::test_no_document_asks_for_a_buyer",),
    # 1.2 setting stock
    "changeFromQuantity must be sent explicitly": (
        f"{WRITING}::test_every_entry_carries_its_expected_value",
        f"{SHOP}::test_the_compared_value_must_be_explicit",
    ),
    "compareQuantity and ignoreCompareQuantity are gone": (
        f"{CONTRACT}::test_every_document_is_valid",
    ),
    "@idempotent is required at run time, and not blank": (
        f"{SHOP}::test_a_write_without_a_key_is_refused",
        f"{WRITING}::test_the_key_of_a_call_is_its_call_id",
    ),
    "inventoryActivate requires a key too": (
        f"{LOCATION}::test_what_is_not_stocked_is_stocked_once_its_owner_agreed",
        f"{LOCATION}::test_an_attempt_without_an_answer_is_asked_after_and_made_anew",
    ),
    "name is available or on_hand; reason is of a list; the document is a URI": (
        f"{SHOP}::test_a_wrong_call_is_refused",
        f"{SHOP}::test_on_hand_counts_what_is_committed",
    ),
    "at most 250 entries": (f"{WRITING}::test_a_full_batch_of_250_is_one_call",),
    "a pair stands once in a call": (f"{SHOP}::test_bundles_duplicates_and_too_many_are_refused",),
    "all or nothing": (
        f"{SHOP}::test_a_write_is_all_or_nothing",
        f"{WRITING}::test_a_stale_entry_is_dropped_and_the_rest_sent",
        f"{WRITING}::test_an_unnamed_refusal_is_halved_down",
    ),
    "available may be negative, and is not set so": (
        f"{READING}::test_a_negative_number_is_read_as_it_is",
        f"{SHOP}::test_a_wrong_entry_is_refused",
    ),
    "a pair that is not stocked: refused before, taken since 2026-10": (
        f"{WRITING}::test_a_pair_that_is_not_stocked_is_set",
        f"{WRITING}::test_a_pair_that_is_not_stocked_may_be_refused",
        f"{LOCATION}::test_a_number_alone_stocks_nothing",
    ),
    "bundles cannot be set": (
        f"{WRITING}::test_a_permanent_refusal_is_the_lines_own",
        f"{READING}::test_a_problem_is_told_in_words",
    ),
    "every error code has its reaction": (
        f"{CONTRACT}::test_every_error_code_of_the_schema_is_judged",
        f"{WRITING}::test_an_unknown_code_needs_a_person",
    ),
    "IDEMPOTENCY_CONCURRENT_REQUEST: the same key again": (
        f"{WRITING}::test_a_call_still_running_is_unknown",
    ),
    "IDEMPOTENCY_KEY_PARAMETER_MISMATCH: a new key": (
        f"{WRITING}::test_a_key_used_for_other_lines_gets_a_successor",
    ),
    "IDEMPOTENCY_PREVIOUS_ATTEMPT_FAILED: a new key": (
        f"{WRITING}::test_a_failed_key_gets_a_successor",
    ),
    "5xx, timeout, reset: the same key and the same variables": (
        f"{WRITING}::test_a_lost_answer_is_learnt_by_repeating",
        f"{WRITING}::test_the_rest_of_a_batch_is_learnt_by_repeating",
        f"{WRITING}::test_keys_are_the_same_in_another_process",
        f"{SPINE}::test_a_push_whose_answer_was_lost_is_settled_and_written_once",
    ),
    "a key is kept for 24 hours": (f"{SHOP}::test_a_key_is_remembered_for_a_day",),
    "a replay's answer is made from the state of now": (
        f"{WRITING}::test_a_replays_answer_is_not_taken_for_a_reading",
    ),
    "the key alone may not deduplicate": (
        f"{WRITING}::test_an_ignored_key_is_made_good_by_the_compare",
    ),
    "a delta is not safe": "Not used: numbers are set absolutely, and no document adjusts one.",
    "activating keeps an earlier quantity": (
        f"{LOCATION}::test_an_earlier_number_is_kept_and_compared_like_any_other",
    ),
    "activation's errors have no code": (f"{LOCATION}::test_a_refusal_is_told_in_shopifys_words",),
    "activation changes how a shop ships: only after consent": (
        f"{LOCATION}::test_without_agreement_it_is_told_and_not_done",
        "../whole/test_activation.py::test_in_shadow_nothing_is_stocked_whatever_was_agreed",
    ),
    "a level of an item that is not tracked means nothing": (
        f"{READING}::test_a_problem_is_told_in_words",
        f"{LOCATION}::test_agreement_is_to_stocking_and_to_nothing_else",
        f"{CLI}::test_what_a_person_must_mend_is_in_the_plan_and_counted_by_channel",
    ),
    "inventorySetOnHandQuantities is deprecated": (
        f"{CONTRACT}::test_no_document_uses_a_deprecated_field",
    ),
    # 1.3 reading
    "SKUs are not unique, and the search for them is loose": (
        f"{READING}::test_a_reference_is_ids_only",
    ),
    "an item may serve several variants": (
        f"{READING}::test_an_item_of_several_variants_is_a_problem",
    ),
    "250 levels in a request": (f"{READING}::test_the_largest_reading_is_one_request",),
    "orders since T: overlap, ties, shifting pages": (
        f"{READING}::test_the_overlap_is_subtracted",
        f"{READING}::test_ties_and_shifting_pages_lose_nothing",
        f"{READING}::test_a_page_that_leads_nowhere_is_a_fault",
    ),
    "nested connections have pages too": (f"{ORDERS}::test_nothing_nested_is_cut_off",),
    "names of quantities in use": "Not asked: `available` is every shop's, and is what sells.",
    "an order moves available to committed; ATP goes to available": (
        f"{SHOP}::test_a_checkout_commits_and_a_shipment_takes",
        f"{WRITING}::test_every_entry_carries_its_expected_value",
    ),
    "draft orders commit only once completed": (f"{WEBHOOKS}::test_samples",),
    "several locations: what sells is their sum": (
        f"{READING}::test_only_our_location_counts",
        f"{LOCATION}::test_what_else_shopify_sells_from_is_told",
        f"{LOCATION}::test_the_locations_to_choose_from_are_listed",
    ),
    "CONTINUE sells below zero": (
        f"{READING}::test_a_problem_is_told_in_words",
        f"{SHOP}::test_sold_out_is_refused_whole",
    ),
    "a bulk query: one connection, no variables": (
        f"{BULK}::test_the_query_is_one_that_may_run_in_bulk",
        f"{BULK}::test_everything_is_read_at_once",
    ),
    "five bulk operations at once": (
        f"{BULK}::test_five_run_at_once_and_a_sixth_is_told_to_wait",
        f"{BULK}::test_a_shop_of_an_earlier_limit_says_so_too",
        f"{FULL}::test_a_platform_that_is_busy_is_asked_later",
    ),
    "it must end within 24 hours": (f"{FULL}::test_one_that_never_ends_is_ended",),
    "its address is good for seven days": (
        f"{BULK}::test_a_cancelled_or_expired_one_holds_nothing",
        f"{FULL}::test_an_address_that_has_run_out_is_asked_for_again",
    ),
    "a failed one may leave a part": (
        f"{BULK}::test_a_part_of_a_failed_one_is_had",
        f"{FULL}::test_a_part_is_used_and_the_rest_read_in_pages",
    ),
    "what it read is old": (
        f"{BULK}::test_what_it_says_is_old",
        f"{FULL}::test_what_differs_is_read_by_itself_and_not_believed",
        "../whole/test_full_read.py::test_a_sale_while_it_runs_is_not_put_back",
    ),
    "its file lies on another host": (
        f"{BULK}::test_nothing_of_ours_goes_to_the_host_of_the_file",
        f"{BULK}::test_an_address_that_is_not_to_be_asked_is_refused",
    ),
    "currentBulkOperation is deprecated; BULK_OPERATIONS_FINISH": (
        f"{CONTRACT}::test_no_document_uses_a_deprecated_field",
    ),
    "a bulk mutation makes every compare stale": "Not used: pushes are calls of their own.",
    # 1.4 rate limits
    "points of the plan; the bucket is told by each answer": (
        f"{READING}::test_a_low_bucket_pauses_the_channel",
        f"{SHOP}::test_the_bucket_empties_and_refills",
    ),
    "THROTTLED at 200 or at 429": (
        f"{WRITING}::test_throttled_is_waited_for",
        f"{READING}::test_throttled_names_the_wait",
        f"{FAULTS}::test_a_shop_that_says_wait_is_waited_for",
    ),
    "errors come with 200": (f"{READING}::test_graphql_errors_are_named",),
    "one query may cost 1,000 points": "Not verified; the dearest document asks for under 300.",
    # 1.5 webhooks
    "callbackUrl is deprecated for uri": (
        f"{CONTRACT}::test_no_document_uses_a_deprecated_field",
        f"{CHECKUPS}::test_what_is_missing_is_made_once",
    ),
    "the version of bodies is set per app": (f"{WEBHOOKS}::test_samples",),
    "only subscriptions by the API are listed, not those of the app's file": (
        f"{WEBHOOKS}::test_two_subscriptions_send_one_body_twice",
        f"{FAULTS}::test_two_subscriptions_to_one_topic_have_one_effect",
    ),
    "topics": (f"{CONTRACT}::test_every_topic_exists",),
    "topics of payment, products, items and locations": (
        "Not subscribed: orders/updated tells of payments, and what the others tell is found when "
        "listings are resolved, each hour and at the nightly reading."
    ),
    "headers; the topic is not signed": (
        f"{WEBHOOKS}::test_the_topic_header_decides_nothing",
        f"{SHOP}::test_every_delivery_is_signed_and_names_itself",
    ),
    "the new Events product has other headers": "Not used: a preview of the unstable version.",
    "signed with the client secret over the raw body": (
        f"{WEBHOOKS}::test_the_published_vector_passes",
        f"{WEBHOOKS}::test_a_delivery_without_a_signature_is_refused",
        f"{ACCESS}::test_the_client_secret_signs_the_webhooks",
    ),
    "two secrets for an hour after a rotation": (
        f"{WEBHOOKS}::test_after_a_rotation_both_secrets_pass",
    ),
    "hooks of the Notifications page have another key": (
        f"{ACCESS}::test_the_client_secret_signs_the_webhooks",
    ),
    "a delivery for another shop": (f"{WEBHOOKS}::test_a_delivery_for_another_shop_is_refused",),
    "five seconds to answer, 2xx only": (
        "The engine's: the answer waits for one commit, which bench P2 and the crash tests measure."
    ),
    "eight attempts in four hours, with the first body": (
        f"{SHOP}::test_a_failed_delivery_is_retried_with_its_first_body",
        f"{WEBHOOKS}::test_a_day_late_it_says_what_it_said",
        f"{SPINE}::test_a_sale_made_while_the_daemon_was_down_is_found_at_the_start",
    ),
    "a subscription is deleted after eight failures": (
        f"{CHECKUPS}::test_shopify_makes_anew_what_was_deleted",
        f"{WATCHDOG}::test_webhooks_are_made_lost_and_made_again",
    ),
    "ids of events and deliveries": (
        f"{WEBHOOKS}::test_a_replay_reads_the_same",
        f"{SPINE}::test_duplicated_and_reordered_deliveries_count_once",
    ),
    "no order of deliveries": (
        f"{WEBHOOKS}::test_the_first_to_arrive_tells_the_whole_order",
        f"{SPINE}::test_a_cancel_that_overtakes_its_order_leaves_a_tombstone",
    ),
    "deliveries are lost": (
        f"{SPINE}::test_all_webhooks_dropped_and_the_poll_repairs_it",
        f"{DOG}::test_orders_that_only_polls_find_have_the_subscriptions_looked_at",
    ),
    "includeFields drops equal bodies, and fields": (
        f"{CHECKUPS}::test_a_subscription_that_sends_less_is_replaced",
        f"{WEBHOOKS}::test_samples",
    ),
    "inventory_levels/update tells the state when it was built": (
        f"{WEBHOOKS}::test_our_own_push_comes_back_as_a_hint_only",
        f"{SPINE}::test_an_echo_of_our_own_write_causes_none",
    ),
    "products/update is not sent for a sale": "Not subscribed: levels and orders tell of sales.",
    # payloads
    "no inventory_item_id in an order's line": (f"{WEBHOOKS}::test_an_order_body_is_counted",),
    "variant_id, product_id and sku may be null": (
        f"{ORDERS}::test_a_line_without_a_variant_is_kept",
    ),
    "quantity counts refunded and removed units": (f"{ORDERS}::test_a_line_is_counted",),
    "restock types": (
        f"{ORDERS}::test_a_line_is_counted",
        f"{WEBHOOKS}::test_refunds_inside_an_order_are_counted",
        f"{CONTRACT}::test_every_word_of_the_schema_is_known",
    ),
    "orders/edited has ids and deltas only": (f"{WEBHOOKS}::test_samples",),
    "available is null where it is not tracked": (f"{WEBHOOKS}::test_samples",),
    "ids exceed 2**53": (f"{ORDERS}::test_ids_beyond_2_53_stay_exact",),
    "a cancellation restocks only if chosen": (
        f"{ORDERS}::test_a_line_is_counted",
        f"{SHOP}::test_what_the_merchant_does_moves_stock",
    ),
    "confirmed: stock is reserved": (f"{ORDERS}::test_an_unconfirmed_order_deducts_nothing",),
    "test orders move stock too": (f"{ORDERS}::test_a_test_order_counts",),
    "fields that nobody knows yet": (
        f"{WEBHOOKS}::test_fields_that_nobody_knows_yet_change_nothing",
    ),
    "states that nobody knows yet": (
        f"{WEBHOOKS}::test_an_unknown_state_is_quarantined",
        f"{READING}::test_an_unknown_restock_type_is_set_aside",
        f"{BULK}::test_a_state_that_is_not_known_is_not_guessed",
    ),
    # 3 what users report
    "absolute sets put back units of orders not yet seen (261805, 728)": (
        f"{WRITING}::test_an_unseen_sale_is_never_put_back",
    ),
    "orders/updated twice at one instant (919)": (
        f"{WEBHOOKS}::test_two_subscriptions_send_one_body_twice",
    ),
    "updated, or paid, before create (603, 425)": (
        f"{WEBHOOKS}::test_the_first_to_arrive_tells_the_whole_order",
    ),
    "a level's webhook shows the final value twice (32284)": (
        f"{WEBHOOKS}::test_our_own_push_comes_back_as_a_hint_only",
    ),
    "a key that does not deduplicate (28236)": (
        f"{WRITING}::test_an_ignored_key_is_made_good_by_the_compare",
    ),
    "no product webhook on a sale (61)": "Not subscribed: levels and orders tell of sales.",
}
"""Each row of the channel's page -> the tests that show it, or why there is none."""


def test_every_trap_has_a_test_that_exists_or_a_reason():
    """A name that no test has would be a trap that nobody watches."""
    assert missing(TRAPS) == []
