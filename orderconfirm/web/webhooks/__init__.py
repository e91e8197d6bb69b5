"""Delivery events from relay providers, one module each."""
