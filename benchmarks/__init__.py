"""Benchmarks: what the service does a second, and what an order costs. docs/performance.md explains the results."""
