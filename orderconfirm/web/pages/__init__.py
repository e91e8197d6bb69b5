"""Pages for the browser: the compose page, the local inbox and the outbox."""
