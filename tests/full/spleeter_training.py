"""Trains a checkpoint of Spleeter for a minute, by its own loss and optimiser.

python -m tests.full.spleeter_training CONFIGURATION FROM TO, in Spleeter's environment.
"""

import json
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
from spleeter.model import EstimatorSpecBuilder

from exporters.spleeter.original.checkpoints import read_variables
from exporters.spleeter.original.random_weights import assign
from synthesis import song

STEPS = 60
LEARNING_RATE = 2e-3
# The synthesised stems that an instrument is made of; for want of a piano, chords stand in twice.
PARTS = {
    "vocals": ("vocals",),
    "drums": ("drums",),
    "bass": ("bass",),
    "other": ("other",),
    "piano": ("other",),
    "accompaniment": ("drums", "bass", "other"),
}

Spectra = Mapping[str, np.ndarray]


def train(parameters: Mapping[str, Any], source: Path, target: Path) -> list[float]:
    """The losses; `target` also holds what the optimiser keeps, as Spleeter's own do."""
    known = read_variables(source)
    shape = (None, parameters["T"], parameters["F"], parameters["n_channels"])
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        tf.compat.v1.train.create_global_step()
        names = ["mix", *parameters["instrument_list"]]
        inputs = {f"{n}_spectrogram": tf.compat.v1.placeholder(tf.float32, shape) for n in names}
        mix = {"mix_spectrogram": inputs["mix_spectrogram"]}
        labels = {name: value for name, value in inputs.items() if name not in mix}
        chosen = dict(parameters) | {"learning_rate": LEARNING_RATE}
        spec = EstimatorSpecBuilder(dict(mix), chosen).build_train_model(labels)
        session.run(tf.compat.v1.global_variables_initializer())
        variables = tf.compat.v1.global_variables()
        assign(session, {v: known[v.op.name] for v in variables if v.op.name in known})
        losses = [
            float(session.run([spec.loss, spec.train_op], feed(inputs, spectra))[0])
            for spectra in batches(parameters)
        ]
        target.mkdir(parents=True)
        saver = tf.compat.v1.train.Saver(save_relative_paths=True)
        saver.save(session, str(target / "model"), write_meta_graph=False)
    return losses


def batches(parameters: Mapping[str, Any]) -> Iterator[Spectra]:
    """One window of a song each."""
    window_s = parameters["T"] * parameters["frame_step"] / parameters["sample_rate"]
    songs = [examples(seed, window_s, parameters) for seed in range(6)]
    for step in range(STEPS):
        yield songs[step % len(songs)]


def examples(seed: int, window_s: float, parameters: Mapping[str, Any]) -> Spectra:
    made = song(seed=seed, duration_s=window_s)
    sources = {
        name: sum(made.stems[part] for part in PARTS[name])
        for name in parameters["instrument_list"]
    }
    sources["mix"] = sum(sources.values())
    return {f"{name}_spectrogram": magnitudes(x, parameters) for name, x in sources.items()}


def magnitudes(signal: Any, parameters: Mapping[str, Any]) -> np.ndarray:
    """[1, frames, bins, channels]."""
    length, step = parameters["frame_length"], parameters["frame_step"]
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        spectrum = tf.abs(tf.signal.stft(signal.astype(np.float32), length, step, pad_end=True))
        values = session.run(tf.transpose(spectrum, (1, 2, 0)))
    return values[None, : parameters["T"], : parameters["F"]]


def feed(inputs: Mapping[str, Any], spectra: Spectra) -> dict[Any, np.ndarray]:
    return {placeholder: spectra[name] for name, placeholder in inputs.items()}


if __name__ == "__main__":
    configuration, source, target = map(Path, sys.argv[1:])
    document = json.loads(configuration.read_text())
    sys.stdout.write(json.dumps(train(document, source, target)) + "\n")
