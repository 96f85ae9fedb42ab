"""The server: takes batches, keeps them, answers queries, serves the page."""
