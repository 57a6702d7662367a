"""The definitions that come with the server, kept in every tenant's database."""
