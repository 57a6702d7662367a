"""Loads, lists and removes the packages of a running server, over HTTP."""
