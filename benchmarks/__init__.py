"""Benchmarks of the service's throughput and of the cost of an order. docs/performance.md explains the results."""
