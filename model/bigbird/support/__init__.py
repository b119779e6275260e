"""What every part of the project leans on: messages, files, locks, checksums, the terminal."""
