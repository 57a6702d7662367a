"""Encryption at rest: elements that the database keeps as ciphertext only (SEC-5)."""
