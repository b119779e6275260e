"""The preprocessing stage as a KFP component, and the step before it that resolves what a run is to read."""

from typing import NamedTuple

from kfp import dsl
from kfp.dsl.base_component import BaseComponent


def preprocess_component(image: str) -> BaseComponent:
    """Raw text, a task's official files or a user's own tables, to a dataset folder.

    Args:
        image: the container image that holds this project and Apache Beam.
    """

    @dsl.component(base_image=image, install_kfp_package=False)
    def preprocess(
        task: str,
        data: str,
        train_file: str,
        validation_file: str,
        test_file: str,
        vocabulary: str,
        vocabulary_size: int,
        max_bad_records: int,
        beam_options: str,
        settings: str,
        recipe: str,
        overrides: str,
        data_version: str,
        dataset: dsl.Output[dsl.Dataset],
        report: dsl.Output[dsl.HTML],
    ) -> None:
        import json
        import shutil

        from bigbird.manifests import DatasetManifest
        from bigbird_components.preprocess.preprocess import preprocess as preprocess_stage
        from bigbird_components.run_configuration import preprocessing_settings
        from bigbird_components.stage import run_stage

        def preprocess_dataset() -> DatasetManifest:
            # Where a step before this one has resolved them, another learning rate leaves them, and a cached dataset, as they are.
            resolved = json.loads(settings) if settings else preprocessing_settings(task, recipe, overrides)
            return preprocess_stage(
                task,
                dataset.path,
                input=data or None,
                train_file=train_file or None,
                validation_file=validation_file or None,
                test_file=test_file or None,
                vocabulary=vocabulary or None,
                vocabulary_size=vocabulary_size,
                max_bad_records=max_bad_records,
                beam_options=beam_options,
                **resolved,
            )

        manifest = run_stage(preprocess_dataset, tensorflow=False)
        shutil.copyfile(f"{dataset.path}/report.html", report.path)
        dataset.metadata["data_version"] = data_version
        for split, facts in manifest["splits"].items():
            dataset.metadata[f"{split}_examples"] = facts["examples"]

    return preprocess


def resolve_component(image: str) -> BaseComponent:
    """A run's parameters to what they mean on its day; see `bigbird_components.preprocess.inputs`.

    Args:
        image: the container image of preprocessing.
    """

    @dsl.component(base_image=image, install_kfp_package=False)
    def resolve(
        data: str,
        train_file: str,
        validation_file: str,
        test_file: str,
        vocabulary: str,
        init_checkpoint: str,
        task: str,
        recipe: str,
        overrides: str,
        time: str,
        project: str,
        location: str,
    ) -> NamedTuple(  # type: ignore[valid-type]
        "outputs",
        [
            ("data", str),
            ("train_file", str),
            ("validation_file", str),
            ("test_file", str),
            ("vocabulary", str),
            ("init_checkpoint", str),
            ("version", str),
            ("weights_version", str),
            ("settings", str),
        ],
    ):
        import json

        from bigbird_components.preprocess.inputs import resolve_inputs
        from bigbird_components.run_configuration import preprocessing_settings
        from bigbird_components.stage import run_stage

        paths = {
            "data": data,
            "train_file": train_file,
            "validation_file": validation_file,
            "test_file": test_file,
            "vocabulary": vocabulary,
        }

        def resolve_run() -> tuple:
            inputs = resolve_inputs(paths, init_checkpoint, time, project, location)
            return (*inputs, json.dumps(preprocessing_settings(task, recipe, overrides)))

        return run_stage(resolve_run, tensorflow=False)

    return resolve
