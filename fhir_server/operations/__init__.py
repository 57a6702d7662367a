"""The operations of FHIR, as data: what they take, where they may be called, what carries them out.

`registry.py` lists them; each has a file of its own.
"""
