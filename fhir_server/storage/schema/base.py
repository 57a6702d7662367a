"""What tables have in common."""

from sqlalchemy import MetaData, Text

metadata = MetaData()
# Of what is no tenant's.
server_metadata = MetaData()

# Bytes compare as bytes: ids and codes are ASCII, and prefix searches need byte order.
BYTEWISE = Text(collation="C")
