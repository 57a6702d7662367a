"""Who may see and do what: identities, what they are granted, and where that is enforced."""
