"""PostgreSQL: the schema, and every statement that writes resources."""
