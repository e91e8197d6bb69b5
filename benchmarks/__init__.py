"""Benchmarks of the service: what it does a second, and what an order costs. docs/performance.md explains the results."""
