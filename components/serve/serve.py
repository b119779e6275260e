"""Loads a model in a thread of its own while the server says that it is not ready, then answers."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from bigbird.manifests import SavedModelManifest
from bigbird.serving.saved_model import Predictor, named_probabilities
from bigbird.support.precision import slow_here
from bigbird.support.scratch import delete_scratch_folders
from bigbird.support.tensorflow_start import load_tensorflow
from bigbird_components.serve.app import ServerState, build_app
from bigbird_components.serve.batching import Answer, Batcher, Example
from bigbird_components.serve.connection import Clients
from bigbird_components.serve.download import local_model
from bigbird_components.serve.listening import bind, most_connections
from bigbird_components.serve.log import log
from bigbird_components.serve.server import Server
from bigbird_components.serve.warm_up import WrongAnswers, warm_up

JOIN_S = 1.0  # what the idle worker gets to end


@dataclass(frozen=True)
class ServeSettings:
    """How to serve; the command line's options say what each is."""

    model: str
    host: str
    port: int
    health_route: str
    predict_route: str
    max_batch: int
    max_delay_ms: float
    max_queue: int
    max_instances: int
    max_body_bytes: int
    max_connections: int | None
    header_s: float
    body_s: float
    grace_s: int
    access_log: bool


def serve(settings: ServeSettings) -> NoReturn:
    """Serves until SIGTERM or SIGINT, then ends the process: with 1 where the model is wrong or requests stayed unanswered.

    Raises:
        InputError: there is no such model, the address is taken, or more connections are asked for than can be open.
    """
    clients = Clients(most_connections(settings.max_connections), settings.header_s, settings.body_s)
    bound = bind(settings.host, settings.port)
    with bound, local_model(settings.model) as folder:
        manifest = SavedModelManifest.read(folder)
        log(
            "serving",
            model=settings.model,
            task=manifest.task,
            labels=manifest.labels,
            buckets=manifest.buckets,
            max_length=manifest.max_length,
        )
        batcher = Batcher(settings.max_batch, settings.max_delay_ms / 1000, settings.max_queue)
        service = ServerState(batcher, settings.max_body_bytes, settings.max_instances)
        app = build_app(service, settings.health_route, settings.predict_route, access_log=settings.access_log)
        server = Server(app, service, clients, settings.grace_s)
        worker = Worker(folder, manifest, service, server)
        worker.start()
        server.run_until_signal(bound)
        batcher.close()
        worker.join(min(JOIN_S, server.left_s()))
    log("stopped", calls=batcher.calls, examples=batcher.answered, unanswered=service.unanswered)
    if isinstance(worker.failure, WrongAnswers):
        log(f"{settings.model}: does not answer as when it was exported: {worker.failure}", "ERROR")
    elif worker.failure:
        raise worker.failure
    # All is answered, logged and closed. TensorFlow's threads may crash while the interpreter ends under them (seen: one exit
    # code of 139 in some 30 containers), and the worker may still be loading, or busy with what was given up.
    sys.stdout.flush()
    sys.stderr.flush()
    delete_scratch_folders()
    os._exit(1 if worker.failure or service.unanswered else 0)


class Worker(threading.Thread):
    """The thread that loads the model, warms it up and runs it.

    Args:
        folder: the SavedModel's.
        manifest: its manifest.
        service: gets the model's fields when it is ready, and the requests.
        server: stopped when the model cannot be served.

    Attributes:
        failure: why it cannot.
    """

    def __init__(self, folder: Path, manifest: SavedModelManifest, service: ServerState, server: Server):
        super().__init__(name="model", daemon=True)
        self._folder, self._manifest, self._labels = folder, manifest, manifest.labels
        self._service, self._server = service, server
        self.failure: BaseException | None = None

    def run(self) -> None:
        """The thread's work."""
        try:
            predictor = self._load()
            if self._service.phase == "loading":
                self._service.fields, self._service.phase = predictor.fields, "ready"
                log("ready")

            def predict(examples: Sequence[Example]) -> list[Answer]:
                return [named_probabilities(answer, self._labels) for answer in predictor(examples)]

            self._service.batcher.run(predict)
        except BaseException as error:  # noqa: BLE001 - told by the main thread, which ends the process
            self.failure = error
            self._server.should_exit = True

    def _load(self) -> Predictor:
        started = time.monotonic()
        self._manifest.check_files(self._folder)
        load_tensorflow()  # with what a server needs of it, before the predictor loads all
        predictor = Predictor(self._folder)
        log("loaded the model", seconds=round(time.monotonic() - started, 1))
        if slow := slow_here(self._manifest.precision):
            log(f"{slow}; `bigbird export --precision float32` writes one for this machine", "WARNING")
        started = time.monotonic()
        asked = warm_up(predictor, self._folder, self._manifest.precision)
        log("warmed up", examples=asked, seconds=round(time.monotonic() - started, 1))
        return predictor
