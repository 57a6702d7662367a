"""The search parameters of each tenant, and the work of indexing what is stored by them."""
