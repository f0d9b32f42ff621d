"""Simulated networks for our tests and yours."""
