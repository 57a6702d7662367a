"""Images: the bridge to an Orthanc, what comes of its studies, and what is sent to it."""
