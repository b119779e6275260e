"""Classification and regression of a user's own tables: one label, several labels or a number for one or two texts."""
