"""Pages for the browser: the demo page and the local inbox."""
