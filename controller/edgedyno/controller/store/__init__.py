"""The store: tables, migrations and queries. Every query is a plain function over a connection."""
