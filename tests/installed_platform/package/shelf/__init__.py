"""A platform in a package of its own: a folder of this machine in which runs lie as files. It runs nothing, but tells every state."""
