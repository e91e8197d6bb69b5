"""What waits: the outbox, and the dispatcher that empties it."""
