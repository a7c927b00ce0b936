"""Latency, measured beside what it buys."""
