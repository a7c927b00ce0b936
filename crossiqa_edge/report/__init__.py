"""What a person or a program reads: results as a table, JSON or CSV, and as one HTML page."""
