"""What orders are and how they go from step to step: rules and data, no HTTP and no SQL."""
