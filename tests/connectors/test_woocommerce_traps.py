"""Every trap of the channel's page on WooCommerce: the tests that meet it, or why none does."""

from __future__ import annotations

from tests.connectors.trap_table import Traps, missing

READING, ORDERS, PUSH = (
    "test_woocommerce.py",
    "test_woocommerce_orders.py",
    "test_woocommerce_push.py",
)
OAUTH, CHECKUPS = "test_woocommerce_oauth.py", "test_checkups.py"
SHOP, SPINE, FAULTS = (
    "../shops/test_woocommerce_shop.py",
    "../whole/test_spine.py",
    "../whole/test_faults.py",
)
WATCHDOG, CONFLICT = "../whole/test_watchdog.py", "../reservation/test_conflict.py"

TRAPS: Traps = {
    # 2.1 transport, access, errors, paging
    "pretty permalinks, or the API is not there": (
        f"{ORDERS}::test_404_of_a_site_without_rest_is_no_verdict",
        f"{PUSH}::test_refused_write",
    ),
    "Basic credentials over TLS only": (
        f"{READING}::test_credentials_need_tls",
        f"{OAUTH}::test_a_site_on_plain_http_refuses_a_key_and_takes_a_signature",
    ),
    "credentials in the query land in logs": (
        f"{ORDERS}::test_requests_carry_no_secret_in_the_query",
    ),
    "a server that drops Authorization": (f"{ORDERS}::test_wrong_key_is_auth_failed",),
    "OAuth 1.0a over plain HTTP": (
        f"{OAUTH}::test_the_reason_for_refusing_is_told",
        f"{OAUTH}::test_the_published_base_string",
    ),
    "a nonce is good once, an instant for 15 minutes": (
        f"{OAUTH}::test_each_attempt_is_signed_by_itself",
    ),
    "the site's own address is signed": (
        f"{OAUTH}::test_a_site_that_knows_itself_by_another_name_refuses",
    ),
    "a key reads, or writes too, and dies with its user": (
        f"{CHECKUPS}::test_a_key_that_may_only_read_is_told_before_it_is_needed",
        f"{FAULTS}::test_revoked_credentials_stop_the_pushes_and_not_the_sales",
    ),
    "behind a proxy WordPress may think it is on plain HTTP": (
        f"{OAUTH}::test_a_site_on_plain_http_refuses_a_key_and_takes_a_signature",
    ),
    "the error object; errors of a batch's items beside its successes": (
        f"{PUSH}::test_refused_write",
        f"{PUSH}::test_batch_item_that_fails_is_its_own_fault",
    ),
    "pages: 10 by default, at most 100, totals in headers": (
        f"{ORDERS}::test_every_page_is_read",
        f"{ORDERS}::test_poll_without_total_headers_goes_on_while_pages_are_full",
    ),
    "no limit in the platform; hosts answer 429, 403, 503": (
        f"{FAULTS}::test_a_shop_that_says_wait_is_waited_for",
        f"{SHOP}::test_faults_answer_as_hosts_do",
    ),
    # 2.2 reading
    "SKUs find products and variations": "Not used: a reference names ids, which never change.",
    "variations are listed by their parent": (
        f"{ORDERS}::test_observe_reads_owners_in_one_request_per_route",
        f"{SHOP}::test_variations_are_listed_by_parent_only",
    ),
    "a product's modified date does not tell of sales (18228)": (
        f"{ORDERS}::test_products_are_never_asked_by_date",
    ),
    # 2.3 writing
    "manage_stock goes along": (f"{PUSH}::test_expected_number_is_replaced",),
    "a batch holds 100 in all; more is 413": (
        f"{PUSH}::test_batch_of_a_hundred_is_one_write",
        f"{SHOP}::test_batch_above_100_is_413_and_applies_nothing",
    ),
    "variations of different parents share no batch": (f"{PUSH}::test_one_request_per_route",),
    "a batch is a loop and may end half-way": (
        f"{PUSH}::test_broken_write_is_unknown_and_the_rest_is_not_sent",
    ),
    "a PUT to a variation that does not manage stock clears it": (
        f"{SHOP}::test_any_put_clears_an_unmanaged_variation",
        f"{PUSH}::test_what_has_no_number_is_not_written",
    ),
    "a quantity without managing is dropped with 200": (
        f"{SHOP}::test_quantity_without_manage_stock_is_dropped_with_200",
        f"{PUSH}::test_dropped_quantity_is_unknown",
    ),
    "the shop's option is off: only a status is written": (
        f"{PUSH}::test_shop_that_manages_no_stock_is_reported",
        f"{PUSH}::test_stock_switched_off_in_the_gap",
        f"{CHECKUPS}::test_woocommerce_in_and_out_of_order",
    ),
    'a parent-managed variation says "parent" and sells the parent\'s stock': (
        f"{SHOP}::test_parent_managed_variation_shows_and_keeps_the_parents_number",
        f"{ORDERS}::test_resolve_finds_the_stock_owner",
        f"{PUSH}::test_parent_is_written_for_its_variations",
    ),
    "two listings with one owner share one count": (
        f"{SPINE}::test_a_pack_of_six_and_a_variation_whose_stock_is_its_parents",
        f"{CONFLICT}::test_listings_that_share_a_field_but_not_an_item_are_parked",
    ),
    "an owner may change": (f"{ORDERS}::test_observe_tells_why_a_field_has_no_number",),
    "backorders sell below zero": (f"{ORDERS}::test_resolve_names_what_a_person_must_mend",),
    "grouped and external products have no stock": (
        f"{ORDERS}::test_resolve_names_what_a_person_must_mend",
    ),
    "inventory_delta is undocumented and not idempotent": (
        f"{PUSH}::test_no_write_is_a_difference",
    ),
    "an equal number is not written": (f"{PUSH}::test_equal_number_is_not_written",),
    "our own PUT fires product.updated": (
        f"{READING}::test_own_write_echoes_as_a_quantity_hint",
        f"{SPINE}::test_an_echo_of_our_own_write_causes_none",
    ),
    "no compare anywhere: a PUT that races a checkout loses the sale": (
        f"{PUSH}::test_unexpected_number_is_not_written",
        f"{PUSH}::test_sale_inside_the_gap_is_overwritten_and_lies_in_the_gap",
        f"{FAULTS}::test_a_sale_on_woocommerce_that_we_have_not_seen_is_never_put_back",
    ),
    "the gap is kept short": (
        f"{PUSH}::test_a_write_too_long_after_its_reading_is_not_sent",
        f"{PUSH}::test_the_gap_of_a_write_begins_when_the_shop_was_asked",
    ),
    "a companion plug-in could compare": "Not built: the protocol with its gap is what is shipped.",
    # 2.4 when the shop moves stock itself
    "reduced once, at payment, processing, on-hold or completed": (
        f"{ORDERS}::test_counts_follow_the_shop",
        f"{SHOP}::test_payment_deducts_once_and_writes_the_meta",
    ),
    "cancelled, or back to pending: restored": (
        f"{ORDERS}::test_counts_follow_the_shop",
        f"{SHOP}::test_what_puts_stock_back",
    ),
    "failed, refunded, trash: not restored": (
        f"{ORDERS}::test_counts_follow_the_shop",
        f"{ORDERS}::test_table_of_counts",
    ),
    "a refund with restock, and without": (
        f"{SHOP}::test_refund_with_restock_raises_the_number_and_lowers_the_meta",
        f"{SHOP}::test_refund_without_restock_leaves_number_and_meta",
        f"{ORDERS}::test_refunds_are_read_for_a_fetch",
    ),
    "set_paid by REST is a payment": (f"{SHOP}::test_payment_deducts_once_and_writes_the_meta",),
    "a pending order holds without deducting": (
        f"{SHOP}::test_pending_order_holds_without_deducting",
        f"{FAULTS}::test_an_unpaid_order_is_kept_back_elsewhere_and_not_taken_twice_here",
    ),
    "the block checkout holds on a draft": (f"{READING}::test_draft_is_nothing",),
    "an unpaid order times out": (
        f"{ORDERS}::test_unpaid_order_times_out",
        f"{FAULTS}::test_an_unpaid_order_that_ends_gives_its_units_back",
    ),
    "a reservation does not show in the number": (
        f"{FAULTS}::test_an_unpaid_order_is_kept_back_elsewhere_and_not_taken_twice_here",
    ),
    "_reduced_stock tells what was taken, in any form": (
        f"{READING}::test_reduced_stock_in_every_form",
        f"{READING}::test_unreadable_reduced_stock_names_the_line",
    ),
    "items added by REST are not reduced until saved (51024)": (
        f"{ORDERS}::test_item_added_by_rest_is_open_and_whole",
    ),
    # 2.5 webhooks
    "topics; custom actions": (
        f"{READING}::test_samples",
        f"{READING}::test_topic_is_for_people_only",
    ),
    "no refund topic, and no quantities in the order": (
        f"{READING}::test_order_with_refunds_is_only_a_hint",
        f"{ORDERS}::test_poll_reads_refunds",
    ),
    "a refund's quantities are negative and name their line": (
        f"{ORDERS}::test_refund_that_names_no_line_is_refused",
        f"{ORDERS}::test_refund_of_money_only_moves_nothing",
    ),
    "hooks are created by the API": (f"{CHECKUPS}::test_what_is_missing_is_made_once",),
    "the secret loses its entities before it signs": (
        f"{READING}::test_published_vectors",
        f"{SHOP}::test_signature_uses_the_entity_decoded_secret",
    ),
    "two secrets during a rotation": (f"{READING}::test_previous_secret_still_verifies",),
    "the ping is unsigned and wants exactly 200": (
        f"{READING}::test_ping_is_narrow",
        f"{FAULTS}::test_the_creation_ping_is_answered_exactly_200",
    ),
    "a delivery id is shared by a second": (
        f"{READING}::test_two_orders_in_one_second_are_both_read",
        f"{SHOP}::test_two_orders_in_one_second_share_a_delivery_id",
    ),
    "the body is built at delivery": (
        f"{READING}::test_body_is_the_order_as_it_is_when_delivered",
    ),
    "deleted: a bare id": (
        f"{READING}::test_deleted_order_is_a_hint",
        f"{READING}::test_object_deleted_before_its_delivery_is_nothing",
    ),
    "the webhook's owner lost his rights": (f"{READING}::test_error_object_is_named_as_such",),
    "bursts are one delivery": (
        f"{SHOP}::test_body_is_built_at_delivery_and_bursts_are_one_delivery",
    ),
    "a change during a delivery triggers none (26851)": (
        f"{ORDERS}::test_change_during_a_delivery_is_polled",
    ),
    "WP-Cron: seconds to many minutes late (22146)": (
        f"{SPINE}::test_all_webhooks_dropped_and_the_poll_repairs_it",
    ),
    "a failed delivery is never repeated": (
        f"{SHOP}::test_failed_delivery_is_never_repeated_and_the_seventh_disables",
        f"{SPINE}::test_a_sale_made_while_the_daemon_was_down_is_found_at_the_start",
    ),
    "the seventh failure disables, and the gap is polled": (
        f"{CHECKUPS}::test_woocommerce_switches_on_again_what_was_switched_off",
        f"{WATCHDOG}::test_webhooks_are_made_lost_and_made_again",
        "../engine/test_watchdog.py::test_what_was_lost_is_mended_said_once_and_polled",
    ),
    "any code from 200 to 302 counts as delivered, a redirect too": (
        f"{SHOP}::test_a_redirect_counts_as_delivered",
        "../web/test_webhooks.py::test_no_variant_of_a_path_is_answered_with_a_redirect",
        "../web/test_webhooks.py::test_no_200_without_a_receipt",
    ),
    "private hosts and odd ports are not delivered to": (
        "The owner's address: the channel's page says which ports WordPress sends to, and what is "
        "never delivered is found by polls, which the watchdog tells of."
    ),
    "duplicates and random misses (28329, 24729, 15620, 18009)": (
        f"{SPINE}::test_duplicated_and_reordered_deliveries_count_once",
        f"{SPINE}::test_all_webhooks_dropped_and_the_poll_repairs_it",
    ),
    "checkout-draft may fire": (f"{READING}::test_draft_is_nothing",),
    "HPOS": "Nothing differs for clients: REST and webhooks are the same.",
    "equal date_modified: fetch again": (
        f"{ORDERS}::test_fetch_numbers_the_version",
        f"{ORDERS}::test_webhook_and_fetch_say_the_same",
    ),
    "sku is empty or null for a deleted product": (
        f"{READING}::test_line_of_a_deleted_product_is_kept",
    ),
    "plug-ins' own statuses": (f"{READING}::test_unknown_status_is_marked",),
    "plug-ins' own fields": (f"{READING}::test_fields_that_nobody_knows_yet_change_nothing",),
    "plug-ins loosen types": (f"{READING}::test_whole_quantity_in_any_form",),
    "instants in the site's zone stand beside those in GMT": (
        f"{READING}::test_site_time_is_ignored",
    ),
    # 2.6 polling
    "dates_are_gmt, or the site's zone applies": (f"{ORDERS}::test_poll_asks_in_gmt",),
    "no order by modification: pages shift": (f"{ORDERS}::test_shifting_pages_lose_no_order",),
    "an overlap": (f"{ORDERS}::test_overlap_finds_an_order_that_shows_up_late",),
    "the cursor is the shop's time": (
        f"{ORDERS}::test_cursor_never_moves_by_our_clock_or_past_the_shops",
    ),
    "status=any hides the trash": (
        f"{ORDERS}::test_trashed_order_is_reconciled_by_id",
        f"{SPINE}::test_an_order_thrown_away_unheard_gives_its_units_back",
    ),
    # 3 what users report
    "no atomic change in REST (21808, 7673, 507)": (
        f"{PUSH}::test_unexpected_number_is_not_written",
    ),
    "an admin's form erases a sale's decrement (16780)": (
        f"{ORDERS}::test_erased_decrement_shows_as_a_rise",
        f"{FAULTS}::test_a_sale_erased_by_an_admins_form_is_taken_off_again",
    ),
    "two checkouts drive stock below zero (44273, 26039)": (
        f"{SHOP}::test_late_payment_may_drive_the_number_below_zero",
        f"{ORDERS}::test_observe_reads_owners_in_one_request_per_route",
    ),
    "order edits move stock oddly (51024, 51974, 15962)": (
        f"{SHOP}::test_edit_moves_the_number",
        f"{ORDERS}::test_counts_follow_the_shop",
    ),
    # 5 measured
    "an unknown product is 400 to a PUT": (
        f"{PUSH}::test_gone_between_read_and_write",
        f"{SHOP}::test_unknown_id_is_404_to_a_read_and_400_to_a_write",
    ),
    "a null quantity sets 0": (f"{SHOP}::test_null_quantity_sets_zero",),
    "an absolute PUT overwrites a sale since the last read": (
        f"{SHOP}::test_put_overwrites_a_sale",
    ),
    "500, 502, 503 pages and hangs": (
        f"{ORDERS}::test_html_is_no_order",
        f"{PUSH}::test_answer_that_cannot_be_read_is_unknown",
        f"{ORDERS}::test_faults_of_a_read_pass_through",
    ),
    "a write whose answer was lost is read, not repeated": (
        f"{PUSH}::test_call_repeated_after_an_unknown_outcome_is_safe",
        f"{FAULTS}::test_a_lowering_on_woocommerce_that_got_no_answer_is_taken_for_a_sale",
    ),
}
"""Each row of the channel's page -> the tests that show it, or why there is none."""


def test_every_trap_has_a_test_that_exists_or_a_reason():
    """A name that no test has would be a trap that nobody watches."""
    assert missing(TRAPS) == []
