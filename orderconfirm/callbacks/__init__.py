"""Callbacks: events of mails, signed and posted to the shop as Standard Webhooks."""
