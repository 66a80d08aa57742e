"""Platforms that sign as Standard Webhooks says: what is signed, and the published cases."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from stockpush.connectors.base import WebhookRequest

SIGNED = ("webhook-id", "webhook-timestamp", "webhook-signature")
VECTORS = "standard_webhooks"


def vector(case: Mapping[str, Any]) -> tuple[Mapping[str, str], WebhookRequest]:
    """Return what one published case configures and delivers."""
    if case["body"] is not None:
        body = case["body"].encode()
    elif "body_b64" in case:
        body = base64.b64decode(case["body_b64"])
    else:
        text, times = case["body_repeat"]
        body = text.encode() * times
    at = datetime.fromtimestamp(case["now"], UTC)
    return {"webhook_secret": case["secret"]}, WebhookRequest(case["headers"], body, at)
