"""Data sets of human opinion under one convention: score on 0..1, higher is better, splits by reference."""
