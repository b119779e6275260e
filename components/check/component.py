"""The check of a user's own tables as a KFP component; a run has it where it is asked for."""

from kfp import dsl
from kfp.dsl.base_component import BaseComponent


def check_component(image: str) -> BaseComponent:
    """A user's own tables to a page of findings; fails where a check of `fail_on` found something.

    Args:
        image: the container image of preprocessing.
    """

    @dsl.component(base_image=image, install_kfp_package=False)
    def check(
        task: str,
        data: str,
        train_file: str,
        validation_file: str,
        test_file: str,
        vocabulary: str,
        fail_on: str,
        settings: str,
        recipe: str,
        overrides: str,
        data_version: str,
        findings: dsl.Output[dsl.Artifact],
        report: dsl.Output[dsl.HTML],
    ) -> None:
        import json
        import shutil

        from bigbird.manifests import CheckManifest
        from bigbird_components.check.check import check as check_stage
        from bigbird_components.check.check import refuse_failed
        from bigbird_components.run_configuration import preprocessing_settings
        from bigbird_components.stage import run_stage

        def check_data() -> CheckManifest:
            resolved = json.loads(settings) if settings else preprocessing_settings(task, recipe, overrides)
            manifest = check_stage(
                input=data or None,
                output=findings.path,
                task=task,
                train_file=train_file or None,
                validation_file=validation_file or None,
                test_file=test_file or None,
                section=resolved.get("section"),
                vocabulary=vocabulary or None,
                fail_on=fail_on,
            )
            shutil.copyfile(f"{findings.path}/report.html", report.path)
            refuse_failed(manifest)
            return manifest

        manifest = run_stage(check_data, tensorflow=False)
        findings.metadata["data_version"] = data_version
        findings.metadata["rows"] = manifest.rows
        for finding in manifest.found():
            findings.metadata[finding.check] = finding.count

    return check
