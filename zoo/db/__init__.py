"""The database: schema, rows, names, queries, scores, garbage collection."""
