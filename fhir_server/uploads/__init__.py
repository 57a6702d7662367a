"""DICOM files that people and programs send here: checked, corrected, and kept by the archive."""
