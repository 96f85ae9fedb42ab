"""Real guests that fault on purpose, for the demonstration and the tests."""
