"""What can go wrong in an export, split by what the caller changes.

ExportError
├── CheckpointError        another file, another name, or a network
│   └── UnsafeCheckpoint   --trust-pickle, or a safetensors file
├── UnsupportedModel       nothing: this exporter cannot express the model
├── ModelFolderError       export again
├── FactsError             the facts or evidence file
└── ParityError            find the fault: the exported files differ from the reference
"""


class ExportError(Exception):
    """Base of everything a person should read as one line, without a traceback."""


class CheckpointError(ExportError):
    pass


class UnsafeCheckpoint(CheckpointError):
    pass


class UnsupportedModel(ExportError):
    pass


class ModelFolderError(ExportError):
    pass


class FactsError(ExportError):
    pass


class ParityError(ExportError):
    pass
