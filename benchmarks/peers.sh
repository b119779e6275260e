#!/usr/bin/env bash
# Makes the environments of the published implementations that benchmarks/training_step.py, forward_pass.py and serving_peers.py run beside ours:
#     benchmarks/peers.sh
# PYTHON is the interpreter to make them with. They need about 8 GB in build/peers; one that is there already stays.
set -euo pipefail
if [ $# -gt 0 ]; then
    sed -n '2,4s/^# //p' "$0" >&2
    exit 2
fi
cd "$(dirname "$0")/.."

environment() {
    local folder="build/peers/$1"
    shift
    if [ -e "$folder/.installed" ]; then
        return
    fi
    echo "Setting up $folder: $*"
    rm -rf "$folder"
    "${PYTHON:-python3}" -m venv "$folder"
    "$folder/bin/python" -m pip install --quiet --disable-pip-version-check "$@"
    touch "$folder/.installed"
}

environment model_garden tf-models-official==2.20.0 tensorflow==2.20.0 tf_keras==2.20.1
environment hugging_face torch==2.14.1 transformers==5.24.0 onnx==1.23.2 onnxscript==0.7.2 onnxruntime==1.32.0 sentencepiece==0.2.3
