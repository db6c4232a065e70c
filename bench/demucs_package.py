"""Demucs' safetensors as the `.th` package that its command line finds in a folder."""

import sys
from pathlib import Path

import torch
from demucs.hf import load_safetensors_model


def main() -> None:
    """`python -m bench.demucs_package FROM.safetensors TO.th`"""
    source, target = map(Path, sys.argv[1:])
    model = load_safetensors_model(source)
    args, kwargs = model._init_args_kwargs
    package = {"klass": type(model), "args": args, "kwargs": kwargs, "state": model.state_dict()}
    torch.save(package, target)


if __name__ == "__main__":
    main()
