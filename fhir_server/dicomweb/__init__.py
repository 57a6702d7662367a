"""DICOMweb for viewers, under our own base and rules (PS3.18): the archive is never seen."""
