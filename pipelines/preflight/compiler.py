"""The compiler in the `libtpu` wheel: `python -m bigbird_pipelines.preflight.compiler FOLDER`, a process of its own.

It reads step.hlo in FOLDER and writes compiled.json there. Its environment must be `ENVIRONMENT`, under which the
library looks for no TPU. JAX's ahead-of-time interface is the way to it; parts of that are private to JAX, which is why the
extra `preflight` pins its version.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from bigbird.support.artifacts import write_json
from bigbird_pipelines.preflight.estimate import estimate
from bigbird_pipelines.preflight.lowering import LOWERED

COMPILED = "compiled.json"
# One host of a v5e with four chips; a chip has one core, and the program is one core's.
TOPOLOGY = "v5e:2x2"
ENVIRONMENT = {
    "TPU_SKIP_MDS_QUERY": "1",  # no metadata server of Google's to ask
    "TPU_ACCELERATOR_TYPE": "v5litepod-4",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "TPU_WORKER_ID": "0",
    "JAX_PLATFORMS": "cpu",
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",  # else a second process fails on the library's lock file
    "TF_CPP_MIN_LOG_LEVEL": "2",
}
# The compiler's words for it, of this version and of others; the first number is needed, the second can be had.
_OUT_OF_MEMORY = (
    re.compile(r"required for .*?\(([\d.]+)([KMGT]?)\) exceeds available HBM \(([\d.]+)([KMGT]?)\)", re.IGNORECASE),
    re.compile(r"Used ([\d.]+)([KMGT]?) of ([\d.]+)([KMGT]?) hbm", re.IGNORECASE),
)
_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


def main(folder: Path) -> None:
    """Compiles the step in a folder; the answer is `fits` and what `compile_step` gives."""
    write_json(folder / COMPILED, compile_step((folder / LOWERED).read_bytes()))


def compile_step(lowered: bytes) -> dict[str, Any]:
    """Compiles a program for one chip of a TPU v5e.

    Args:
        lowered: a serialised HLO module.

    Returns:
        `fits`, and where it does `arguments`, `outputs` (those that take no argument's place), `temporaries` and `code`
        in bytes, `cycles`, `without_estimate` by kind, `unknown_loops` and `collective_bytes`; where it does not `needed` and `usable` in
        bytes, None where the compiler does not say.

    Raises:
        Exception: the compiler's own, for any reason but a lack of memory.
    """
    from jax._src.interpreters import mlir
    from jax._src.lib import xla_client
    from jax.experimental import topologies
    from jaxlib import _jax

    device: Any = topologies.get_topology_desc(platform="tpu", topology_name=TOPOLOGY).devices[0]
    with mlir.make_ir_context():
        module = _without_copies(_jax.mlir.hlo_to_stablehlo(lowered))
        try:
            compiled = device.client.compile(module, _jax.DeviceList((device,)), xla_client.CompileOptions())
        except Exception as error:
            lacking = out_of_memory(str(error))
            if lacking is None:
                raise
            return {"fits": False, **lacking}
    return figures(compiled, compiled.hlo_modules()[0].to_string())


def figures(compiled: Any, text: str) -> dict[str, Any]:
    """What `compile_step` returns, of a compiled program that fits, and of its text in HLO."""
    memory = compiled.get_compiled_memory_stats()
    found = estimate(text)
    return {
        "fits": True,
        "arguments": memory.argument_size_in_bytes,
        "outputs": memory.output_size_in_bytes - memory.alias_size_in_bytes,
        "temporaries": memory.temp_size_in_bytes,
        "code": memory.generated_code_size_in_bytes,
        "cycles": found.cycles,
        "without_estimate": dict(found.without_estimate),
        "unknown_loops": found.unknown_loops,
        "collective_bytes": found.collective_bytes,
    }


def _without_copies(text: bytes) -> Any:
    """A StableHLO module; TensorFlow's copies between an argument and its new value, which the TPU's compiler refuses, left out."""
    from jaxlib.mlir import ir

    module = ir.Module.parse(text)
    copies: list[Any] = []

    def visit(operation: Any) -> Any:
        if operation.name == "mhlo.copy":
            copies.append(operation)
        return ir.WalkResult.ADVANCE

    module.operation.walk(visit)
    for copy in copies:
        copy.results[0].replace_all_uses_with(copy.operands[0])
        copy.erase()
    return module


def out_of_memory(message: str) -> dict[str, int | None] | None:
    """What the compiler says where a program is too large for a chip's memory; None for any other error.

    Returns:
        `needed` (at least so much: it may be the temporaries alone) and `usable` in bytes, None where the message does
        not tell them.
    """
    if "RESOURCE_EXHAUSTED" not in message or "hbm" not in message.lower():
        return None
    told = next((found for pattern in _OUT_OF_MEMORY if (found := pattern.search(message))), None)
    if told is None:
        return {"needed": None, "usable": None}
    used, used_unit, limit, limit_unit = told.groups()
    return {
        "needed": round(float(used) * _UNITS[used_unit.upper()]),
        "usable": round(float(limit) * _UNITS[limit_unit.upper()]),
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]))
