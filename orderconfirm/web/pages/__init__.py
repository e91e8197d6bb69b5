"""Pages for the browser: the demo page, the local inbox and the outbox."""
