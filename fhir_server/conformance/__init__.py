"""Tests of FHIR servers written as TestScript resources (R4 testscript.html)."""
