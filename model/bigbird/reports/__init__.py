"""Pages for people: figures, tables and text as one HTML file."""
