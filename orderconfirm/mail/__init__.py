"""Confirmation mails: an order rendered as subject, plain text and HTML."""
