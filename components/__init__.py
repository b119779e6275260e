"""The stages: a folder each, with its KFP component, its command line and its code."""
