"""The JSON files that stages leave for each other, as typed models: dataset.json, model.json, metrics.json and the others."""

from bigbird.manifests.base import Manifest, Part, checked
from bigbird.manifests.check import (
    CheckedFile,
    CheckManifest,
    ExampleFacts,
    FindingFacts,
    LengthShare,
    SuspectFacts,
    TextLengths,
)
from bigbird.manifests.conversion import ConversionManifest, ConversionVocabulary
from bigbird.manifests.dataset import DatasetManifest, SplitFacts, VocabularyFacts
from bigbird.manifests.evaluation import (
    BaselineFacts,
    ComparisonFacts,
    EvaluationManifest,
    Interval,
    LengthFacts,
    Primary,
)
from bigbird.manifests.model import ModelManifest
from bigbird.manifests.predictions import InputFacts, PredictionsManifest
from bigbird.manifests.saved_model import SavedModelManifest, SignatureFacts, TensorFacts
from bigbird.manifests.state import BestFacts, CheckpointState

__all__ = [
    "BaselineFacts",
    "BestFacts",
    "CheckManifest",
    "CheckedFile",
    "CheckpointState",
    "ComparisonFacts",
    "ConversionManifest",
    "ConversionVocabulary",
    "DatasetManifest",
    "EvaluationManifest",
    "ExampleFacts",
    "FindingFacts",
    "InputFacts",
    "Interval",
    "LengthFacts",
    "LengthShare",
    "Manifest",
    "ModelManifest",
    "Part",
    "PredictionsManifest",
    "Primary",
    "SavedModelManifest",
    "SignatureFacts",
    "SplitFacts",
    "SuspectFacts",
    "TensorFacts",
    "TextLengths",
    "VocabularyFacts",
    "checked",
]
