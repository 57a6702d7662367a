"""Search: what a resource is found by, and what a query asks for (R4 search.html)."""
