"""The bounds of one operation, and of all at once: what the gateway may make of a request."""

# What a client sends. The longest operation of the Web UI has 12,000 characters.
MAX_QUERY_BYTES = 256 * 1024
MAX_TOKENS = 20_000
MAX_ROOT_FIELDS = 1_000
# Without credentials only a few root fields are answered.
MAX_OPEN_BYTES = 16 * 1024
MAX_OPEN_TOKENS = 1_000
BODY_SECONDS = 30.0

# What a plan is made of.
MAX_FIELDS = 20_000  # of the selections, after fragments are expanded
MAX_PLAN_BYTES = 1024 * 1024  # of the texts for the subgraphs
MAX_REQUESTS = 100  # of one operation
# Of the plans that are kept. The Web UI's 350 operations take 25 MB.
MAX_KEPT_BYTES = 64 * 1024 * 1024

# What runs at once.
MAX_UPSTREAM = 64  # requests to the manager; a subscription does not count
MAX_PLANNED = 256  # operations that wait to be planned
MAX_SUBSCRIPTIONS = 1_000
MAX_SUBSCRIPTIONS_EACH = 50  # with the same credentials

# What the manager sends.
MAX_REPLY_BYTES = 128 * 1024 * 1024
MAX_EVENT_BYTES = 16 * 1024 * 1024
