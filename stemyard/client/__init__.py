"""A thin HTTP client of the public API."""

from stemyard.client.client import StemyardClient
from stemyard.client.errors import ApiProblem, ApiUnreachable, ClientError, DownloadDiffers
from stemyard.client.job import Job, StemFile
from stemyard.client.preset import Preset

__all__ = [
    "ApiProblem",
    "ApiUnreachable",
    "ClientError",
    "DownloadDiffers",
    "Job",
    "Preset",
    "StemFile",
    "StemyardClient",
]
