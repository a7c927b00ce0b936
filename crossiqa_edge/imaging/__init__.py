"""From bytes to views: decoding with limits, and sampling at native resolution. NumPy and Pillow only."""
