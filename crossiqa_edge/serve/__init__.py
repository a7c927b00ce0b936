"""Scores over HTTP: one model, concurrent requests in common batches, with bounds on what requests take."""
