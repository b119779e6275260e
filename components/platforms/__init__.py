"""What a step has to know of the platform that it runs on: a module for each, by the platform's name.

Each has two functions for the step that tells people how a run ended: `webhook_address(*, secret, project)`, and
`run_of_step(*, identifier, host, job)`, which reads what the platform says of the run. All else about a platform stands in
pipelines/platforms; one that an installed package brings has an exit task of its own.
"""
