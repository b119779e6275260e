"""Small manifests for tests of what reads them."""

from bigbird.manifests import DatasetManifest


def dataset(**values):
    """A dataset's manifest: the values, and what every manifest has."""
    vocabulary = {"file": "vocab.model", "sha256": "0" * 64, "size": 100, "lower_case": False, "trained_here": True}
    return DatasetManifest(**{"task": "own", "splits": {}, "vocabulary": vocabulary} | values)
