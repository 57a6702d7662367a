"""Work that no request waits for: jobs of the database, done by whichever worker is free."""
