"""What the tables of a tenant have in common."""

from sqlalchemy import MetaData, Text

metadata = MetaData()

# Bytes compare as bytes: ids and codes are ASCII, and prefix searches need byte order.
BYTEWISE = Text(collation="C")
