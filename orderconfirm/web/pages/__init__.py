"""Pages for the browser: the compose page and the local inbox."""
