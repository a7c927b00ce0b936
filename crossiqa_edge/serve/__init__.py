"""Scores over HTTP: one model, concurrent requests in common batches, bounded in every direction."""
