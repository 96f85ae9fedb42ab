"""From maps to records: what was added between two readings, and whose it is."""
