"""`flask outbox …`: commands for the person on call."""

from __future__ import annotations

# The commands of these modules join the group when they are imported.
from orderconfirm.cli.outbox import callbacks, changes, listing, suppressions
from orderconfirm.cli.outbox.group import outbox

__all__ = ["callbacks", "changes", "listing", "outbox", "suppressions"]
