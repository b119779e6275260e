"""A training update and a prediction as pure compiled functions on JAX. It needs Keras on JAX, and no TensorFlow.

The batch's rows are spread over a mesh's devices, the weights are the same on each. A device works through its own rows
alone, as `shard_map` has it: loops and kernels over them stay on the device, where a compiler that partitions a program
for all rows would gather them first.

Shapes: B global batch, b rows of one device.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import keras
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from bigbird.config import Task
from bigbird.models import has_targets, per_example_loss, summarize
from bigbird.optimization import AdamW, clip_by_global_norm

AXIS = "rows"
WHOLE, SPREAD = PartitionSpec(), PartitionSpec(AXIS)  # the same on every device; rows spread over the devices


class TrainingState(NamedTuple):
    """What an update changes, and the weights that it does not, whole on every device.

    Attributes:
        weights: values of the model's trainable variables, in their order.
        optimizer: values of the optimizer's variables, in their order; one of them counts the updates.
        frozen: values of the model's other weights, in their order.
    """

    weights: list[jax.Array]
    optimizer: list[jax.Array]
    frozen: list[jax.Array]

    @property
    def model(self) -> Weights:
        """All weights of the model."""
        return self.weights, self.frozen


Weights = tuple[list[jax.Array], list[jax.Array]]  # those that are trained, and the frozen ones
Update = Callable[[TrainingState, dict[str, jax.Array], jax.Array | np.int32], tuple[TrainingState, jax.Array]]


def state_variables(model: keras.Model, optimizer: AdamW) -> tuple[list[keras.Variable], ...]:
    """The variables whose values are a state's fields."""
    return model.trainable_variables, optimizer.variables, model.non_trainable_weights


def take_state(model: keras.Model, optimizer: AdamW, mesh: Mesh) -> TrainingState:
    """The state that the variables hold, on the mesh's devices. Updates delete it, the variables' arrays included."""
    whole = NamedSharding(mesh, WHOLE)
    return TrainingState(
        *(
            [jax.device_put(variable.value, whole) for variable in variables]
            for variables in state_variables(model, optimizer)
        )
    )


def give_state(state: TrainingState, model: keras.Model, optimizer: AdamW) -> None:
    """Lets the variables hold the state; nothing is copied."""
    for values, variables in zip(state, state_variables(model, optimizer), strict=True):
        for value, variable in zip(values, variables, strict=True):
            variable.assign(value)


def build_update(model: keras.Model, optimizer: AdamW, task: Task, clip_norm: float, mesh: Mesh) -> Update:
    """The function (state, batch, seed) -> (new state, figures), compiled once for each shape of a batch.

    The state that it is given is deleted: the new one takes its memory.

    Args:
        model: built; its variables' values are not read.
        optimizer: built for the model's trainable variables.
        task: says the loss.
        clip_norm: the bound of the gradient's norm; 0 does not clip.
        mesh: of one axis, `AXIS`, whose devices share the batch.

    Returns:
        The function of a `TrainingState`; a batch as in `dataset.batch_parser`, without what stays on the host, of B rows, a
        multiple of the devices; and the run's seed, int32[]. Its figures are float32[3]: loss, norm of the gradient before
        clipping, real tokens.
    """
    beside = _not_trained(model)
    (counter,) = (place for place, variable in enumerate(optimizer.variables) if variable is optimizer.iterations)

    def update(
        state: TrainingState, batch: dict[str, jax.Array], seed: jax.Array | np.int32
    ) -> tuple[TrainingState, jax.Array]:
        rows = batch["input_mask"].shape[0]
        first_row = jax.lax.axis_index(AXIS) * rows
        words = jnp.stack([jnp.asarray(word, jnp.int32) for word in (seed, state.optimizer[counter], first_row)])

        def share(weights: list[jax.Array]) -> jax.Array:
            """These rows' part of the global batch's mean loss."""
            outputs, _ = model.stateless_call(weights, beside(state.frozen), batch, training=True, seed=words)
            return jnp.sum(per_example_loss(task, outputs, batch)) / (rows * mesh.size)

        loss, gradients = jax.value_and_grad(share)(state.weights)
        tokens = jnp.sum(batch["input_mask"]).astype(jnp.float32)
        gradients, loss, tokens = jax.lax.psum((gradients, loss, tokens), AXIS)
        clipped, norm = clip_by_global_norm(gradients, clip_norm)
        weights, moments = optimizer.stateless_apply(state.optimizer, clipped, state.weights)
        return TrainingState(weights, moments, state.frozen), jnp.stack([loss, norm, tokens])

    spread = _spread(update, mesh, in_specs=(WHOLE, SPREAD, WHOLE), out_specs=WHOLE)
    compiled: Update = jax.jit(spread, donate_argnums=0)
    return compiled


def build_prediction(
    model: keras.Model, task: Task, mesh: Mesh
) -> Callable[[Weights, dict[str, jax.Array]], dict[str, jax.Array]]:
    """The function (weights, batch) -> outputs float32[B, ...], whole on every device.

    The batch is of B rows as `TrainingSteps` has it, the outputs are those of `summarize`, and `loss` float32[B] where the batch has targets.
    """
    beside = _not_trained(model)

    def predict(weights: Weights, batch: dict[str, jax.Array]) -> dict[str, jax.Array]:
        trained, frozen = weights
        outputs, _ = model.stateless_call(trained, beside(frozen), batch, training=False)
        results = summarize(task, outputs, batch)
        if has_targets(task, batch):
            results = {**results, "loss": per_example_loss(task, outputs, batch)}
        return results

    spread = _spread(predict, mesh, in_specs=(WHOLE, SPREAD), out_specs=SPREAD)
    return jax.jit(spread, out_shardings=NamedSharding(mesh, WHOLE))


def _not_trained(model: keras.Model) -> Callable[[list[jax.Array]], list[Any]]:
    """What gives the values of a model's non-trainable variables, in their order: the frozen weights as they are given to it.

    The others are the state of the dropout's own seeds, which a step that is given its seed takes no part of.
    """
    places = {id(variable): place for place, variable in enumerate(model.non_trainable_weights)}
    variables = [(places.get(id(one)), one) for one in model.non_trainable_variables]
    own = [(place, None if place is not None else np.asarray(one.value)) for place, one in variables]
    return lambda frozen: [value if place is None else frozen[place] for place, value in own]


def _spread(function: Callable[..., Any], mesh: Mesh, **specs: Any) -> Callable[..., Any]:
    """Each device's part of a function; sums over the devices are stated in it, so JAX need not look for them."""
    return jax.shard_map(function, mesh=mesh, check_vma=False, **specs)
