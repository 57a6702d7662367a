"""Public suites run against a real server: `python -m tests.conformance.run`."""
