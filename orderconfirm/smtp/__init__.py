"""SMTP: messages, connections to the relay, and the local inbox."""
