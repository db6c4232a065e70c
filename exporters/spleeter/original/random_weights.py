"""Spleeter checkpoints from a seed, for tests and benchmarks."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from spleeter.model import EstimatorSpecBuilder

from exporters.spleeter.configuration import NORMS, PROVENANCE_FILE, RANDOM_WEIGHTS, TRAINED_ON
from synthesis import song

CHECKPOINT = "model"
_TRIAL_S = 6.0


def save_random_checkpoint(parameters: Mapping[str, Any], directory: Path, *, seed: int) -> None:
    """Spleeter's own graph with weights from `seed`, saved as Spleeter's training saves them."""
    directory.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    waveform = song(seed=seed, duration_s=_TRIAL_S).mix.T
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        audio = tf.compat.v1.placeholder(tf.float32, (None, parameters["n_channels"]))
        _ = EstimatorSpecBuilder({"waveform": audio}, dict(parameters)).outputs
        draw_weights(tf.compat.v1.global_variables(), session, rng)
        settle_norms(session, rng, feed={audio: waveform})
        tf.compat.v1.train.create_global_step().initializer.run()
        saver = tf.compat.v1.train.Saver(save_relative_paths=True)
        saver.save(session, str(directory / CHECKPOINT), write_meta_graph=False)
    (directory / PROVENANCE_FILE).write_text(json.dumps({TRAINED_ON: RANDOM_WEIGHTS}))


def draw_weights(variables: Iterable[Any], session: Any, rng: np.random.Generator) -> None:
    """Kernels that keep the level of what they are given; biases, gammas and betas at random."""
    shapes = {variable: tuple(variable.shape.as_list()) for variable in variables}
    assign(session, {v: _drawn(v.op.name, shape, rng) for v, shape in shapes.items()})


def assign(session: Any, values: Mapping[Any, np.ndarray]) -> None:
    """All at once: every other set of operations that is run has its graph optimised anew."""
    initializers = [variable.initializer for variable in values]
    feed = {i.inputs[1]: v for i, v in zip(initializers, values.values(), strict=True)}
    session.run(initializers, feed)


def settle_norms(session: Any, rng: np.random.Generator, *, feed: Mapping[Any, Any]) -> None:
    """Moving statistics near those that music gives, depth by depth in all U-Nets at once.

    Anything else would drive the masks to 0, 1 or a half, where no fault shows.
    """
    variables = {v.op.name: v for v in tf.compat.v1.global_variables()}
    norms = [op for op in session.graph.get_operations() if op.type == "FusedBatchNormV3"]
    for depth in range(NORMS):
        level = norms[depth::NORMS]
        inputs = session.run([norm.inputs[0] for norm in level], feed)
        settled: dict[Any, np.ndarray] = {}
        for norm, values in zip(level, inputs, strict=True):
            scope = norm.name.rpartition("/")[0]
            mean, variance = _near_statistics(values, rng)
            settled[variables[f"{scope}/moving_mean"]] = mean
            settled[variables[f"{scope}/moving_variance"]] = variance
        assign(session, settled)


def _near_statistics(values: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Per channel of [split, frame, bin, channel]."""
    mean, deviation = values.mean(axis=(0, 1, 2)), values.std(axis=(0, 1, 2)) + 1e-3
    near_mean = mean + deviation * rng.normal(0.0, 0.2, mean.shape)
    near_variance = deviation**2 * rng.uniform(0.5, 2.0, mean.shape)
    return near_mean.astype(np.float32), near_variance.astype(np.float32)


def _drawn(name: str, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    kind = name.rpartition("/")[2]
    if kind == "kernel":
        taps = shape[0] * shape[1]
        fan_in = taps * (shape[3] if "transpose" in name else shape[2])
        return rng.normal(0.0, (2.0 / fan_in) ** 0.5, shape)
    if kind in ("gamma", "moving_variance"):
        return rng.uniform(0.5, 1.5, shape)
    return rng.normal(0.0, 0.3, shape)
