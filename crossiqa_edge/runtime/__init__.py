"""Artefacts, the backends that run them, and ``Scorer``. Never imports torch."""
