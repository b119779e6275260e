"""Labels inside documents: spans of a text, such as names, clauses or amounts."""
