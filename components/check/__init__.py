"""The check of a user's own tables before anything is trained on them."""
