# A Dataflow worker (--sdk_container_image): the preprocess image, started by Beam's own program.
#
# Beam's image must be one that can be pulled, of the version that requirements/preprocess.lock pins.
ARG OURS
ARG BEAM_IMAGE=apache/beam_python3.11_sdk:2.77.0

FROM ${BEAM_IMAGE} AS beam

FROM ${OURS}
COPY --from=beam /opt/apache/beam /opt/apache/beam
# The worker runs in this environment and installs nothing at its start.
ENV RUN_PYTHON_SDK_IN_DEFAULT_ENVIRONMENT=1
ENTRYPOINT ["/opt/apache/beam/boot"]
