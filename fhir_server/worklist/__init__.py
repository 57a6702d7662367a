"""The modality worklist, and what modalities tell of what they perform: a DICOM server (SCP)."""
