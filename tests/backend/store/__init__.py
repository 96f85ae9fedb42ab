"""Tests of the stores: one contract, on every database."""
