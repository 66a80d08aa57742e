"""The store on SQLite and PostgreSQL, through one conformance suite."""
