"""Degradations and the data sets of human opinion. Needs the ``train`` extra."""
