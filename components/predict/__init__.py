"""Answers a table with a trained model: any number of rows, gone on with after an interruption, on this machine or on Beam."""
