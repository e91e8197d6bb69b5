"""The outbox of pending mails, and the dispatcher that sends them."""
