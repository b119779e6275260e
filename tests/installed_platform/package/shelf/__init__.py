"""A platform in a package of its own, for the tests: it sends nothing anywhere, but keeps runs as files in a folder.

All its names are invented, so that none is taken for a real service's: the platform is "the shelf", its one machine an
"abacus", its option --drawer. bench.py has another, of this machine: "the bench", with the option --tool.
"""
