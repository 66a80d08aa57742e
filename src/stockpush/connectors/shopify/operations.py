"""Every GraphQL document that is ever sent to Shopify; tests validate each against the schema.

Page sizes are variables, so that one document serves every size. `cost` is what a call usually
takes from the bucket, in points; the answer tells what it really took.
Source: Shopify Admin GraphQL 2026-10.
"""

from __future__ import annotations

from dataclasses import dataclass

API_VERSION = "2026-10"
PATH = f"/admin/api/{API_VERSION}/graphql.json"


@dataclass(frozen=True, slots=True)
class Operation:
    """One named document. `writes`: it changes something, so it is sent exactly once."""

    name: str
    document: str
    cost: float
    writes: bool = False


_LINES = """nodes {
  id quantity currentQuantity unfulfilledQuantity sku variant { id }
} pageInfo { hasNextPage endCursor }"""

_REFUNDED = """nodes {
  quantity restockType location { id } lineItem { id }
} pageInfo { hasNextPage endCursor }"""

_FULFILLED = """nodes {
  quantity lineItem { id }
} pageInfo { hasNextPage endCursor }"""

_HEAD = "id createdAt updatedAt cancelledAt closedAt confirmed"

LEVELS = Operation(
    "Levels",
    """query Levels($ids: [ID!]!, $location: ID!) {
  nodes(ids: $ids) {
    ... on InventoryItem {
      id tracked
      inventoryLevel(locationId: $location) {
        isActive quantities(names: ["available"]) { name quantity }
      }
    }
  }
}""",
    cost=25,
)

LISTINGS = Operation(
    "Listings",
    """query Listings($ids: [ID!]!, $location: ID!) {
  location(id: $location) { id isActive }
  nodes(ids: $ids) {
    __typename
    ... on ProductVariant {
      id inventoryPolicy requiresComponents
      inventoryItem { id tracked inventoryLevel(locationId: $location) { isActive } }
    }
    ... on InventoryItem {
      id
      variants(first: 2) {
        nodes {
          id inventoryPolicy requiresComponents
          inventoryItem { id tracked inventoryLevel(locationId: $location) { isActive } }
        }
      }
    }
  }
}""",
    cost=50,
)

SET_QUANTITIES = Operation(
    "SetQuantities",
    """mutation SetQuantities($input: InventorySetQuantitiesInput!, $key: String!) {
  inventorySetQuantities(input: $input) @idempotent(key: $key) {
    inventoryAdjustmentGroup { id }
    userErrors { code field message }
  }
}""",
    cost=10,
    writes=True,
)

ACTIVATE = Operation(
    "Activate",
    """mutation Activate($item: ID!, $location: ID!, $key: String!) {
  inventoryActivate(inventoryItemId: $item, locationId: $location) @idempotent(key: $key) {
    inventoryLevel { isActive }
    userErrors { field message }
  }
}""",
    cost=10,
    writes=True,
)

ORDERS = Operation(
    "Orders",
    f"""query Orders($query: String!, $first: Int!, $after: String, $lines: Int!) {{
  orders(first: $first, after: $after, query: $query, sortKey: UPDATED_AT) {{
    nodes {{
      {_HEAD}
      lineItems(first: $lines) {{ {_LINES} }}
      refunds(first: 1) {{ id }}
      fulfillments(first: 1) {{ id }}
    }}
    pageInfo {{ hasNextPage endCursor }}
  }}
}}""",
    cost=50,
)

ORDER = Operation(
    "Order",
    f"""query Order($id: ID!, $lines: Int!, $parts: Int!, $units: Int!) {{
  order(id: $id) {{
    {_HEAD}
    lineItems(first: $lines) {{ {_LINES} }}
    refunds(first: $parts) {{ id refundLineItems(first: $units) {{ {_REFUNDED} }} }}
    fulfillments(first: $parts) {{
      id status fulfillmentLineItems(first: $units) {{ {_FULFILLED} }}
    }}
  }}
}}""",
    cost=25,
)

ORDER_LINES = Operation(
    "OrderLines",
    f"""query OrderLines($id: ID!, $first: Int!, $after: String) {{
  order(id: $id) {{ lineItems(first: $first, after: $after) {{ {_LINES} }} }}
}}""",
    cost=25,
)

ORDER_PARTS = Operation(
    "OrderParts",
    """query OrderParts($id: ID!, $first: Int!) {
  order(id: $id) { refunds(first: $first) { id } fulfillments(first: $first) { id status } }
}""",
    cost=25,
)

REFUND_LINES = Operation(
    "RefundLines",
    f"""query RefundLines($id: ID!, $first: Int!, $after: String) {{
  refund(id: $id) {{ refundLineItems(first: $first, after: $after) {{ {_REFUNDED} }} }}
}}""",
    cost=25,
)

FULFILMENT_LINES = Operation(
    "FulfilmentLines",
    f"""query FulfilmentLines($id: ID!, $first: Int!, $after: String) {{
  fulfillment(id: $id) {{ fulfillmentLineItems(first: $first, after: $after) {{ {_FULFILLED} }} }}
}}""",
    cost=25,
)

ORDER_VERSION = Operation(
    "OrderVersion",
    "query OrderVersion($id: ID!) { order(id: $id) { updatedAt } }",
    cost=2,
)

CHECKUP = Operation(
    "Checkup",
    """query Checkup($location: ID) {
  currentAppInstallation { accessScopes { handle } }
  shop { myshopifyDomain }
  location(id: $location) { id name isActive fulfillsOnlineOrders }
  locations(first: 20) { nodes { id name isActive fulfillsOnlineOrders } }
  publicApiVersions { handle supported }
}""",
    cost=10,
)

HOOKS = Operation(
    "Hooks",
    """query Hooks($first: Int!, $after: String) {
  webhookSubscriptions(first: $first, after: $after) {
    nodes { id topic uri format filter includeFields }
    pageInfo { hasNextPage endCursor }
  }
}""",
    cost=25,
)

SUBSCRIBE = Operation(
    "Subscribe",
    """mutation Subscribe($topic: WebhookSubscriptionTopic!, $hook: WebhookSubscriptionInput!) {
  webhookSubscriptionCreate(topic: $topic, webhookSubscription: $hook) {
    webhookSubscription { id }
    userErrors { field message }
  }
}""",
    cost=10,
    writes=True,
)

UNSUBSCRIBE = Operation(
    "Unsubscribe",
    """mutation Unsubscribe($id: ID!) {
  webhookSubscriptionDelete(id: $id) {
    deletedWebhookSubscriptionId
    userErrors { field message }
  }
}""",
    cost=10,
    writes=True,
)

BULK_RUN = Operation(
    "BulkRun",
    """mutation BulkRun($query: String!) {
  bulkOperationRunQuery(query: $query) {
    bulkOperation { id status }
    userErrors { code field message }
  }
}""",
    cost=10,
    writes=True,
)

BULK_STATUS = Operation(
    "BulkStatus",
    """query BulkStatus($id: ID!) {
  bulkOperation(id: $id) { id status errorCode url partialDataUrl }
}""",
    cost=2,
)

BULK_CANCEL = Operation(
    "BulkCancel",
    """mutation BulkCancel($id: ID!) {
  bulkOperationCancel(id: $id) { userErrors { field message } }
}""",
    cost=10,
    writes=True,
)


def everything(location: str) -> str:
    """Return the bulk query for every variant with its number at `location`, a global id.

    A bulk query has no variables, and exactly one connection here: one line for each variant.
    """
    return f"""{{
  productVariants {{
    edges {{
      node {{
        id inventoryPolicy requiresComponents
        inventoryItem {{
          id tracked
          inventoryLevel(locationId: "{location}") {{
            isActive quantities(names: ["available"]) {{ name quantity }}
          }}
        }}
      }}
    }}
  }}
}}"""


ALL = (
    LEVELS,
    LISTINGS,
    SET_QUANTITIES,
    ACTIVATE,
    ORDERS,
    ORDER,
    ORDER_LINES,
    ORDER_PARTS,
    REFUND_LINES,
    FULFILMENT_LINES,
    ORDER_VERSION,
    CHECKUP,
    HOOKS,
    SUBSCRIBE,
    UNSUBSCRIBE,
    BULK_RUN,
    BULK_STATUS,
    BULK_CANCEL,
)
