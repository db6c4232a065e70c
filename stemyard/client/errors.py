"""What a call to the API can end in.

ClientError
├── ApiProblem      the service said no; `error_code` is stable
├── ApiUnreachable  no answer, or none that can be understood
└── DownloadDiffers the received file is not the one the job names
"""

import httpx


class ClientError(Exception):
    """Anything this package raises."""


class ApiProblem(ClientError):
    """An application/problem+json answer."""

    def __init__(self, *, status: int, error_code: str, message: str) -> None:
        super().__init__(f"{error_code}: {message}")
        self.status = status
        self.error_code = error_code
        self.message = message

    @classmethod
    def of(cls, answer: httpx.Response) -> "ApiProblem":
        """Of an answer that has been read; what is no problem document becomes a general one."""
        try:
            body = answer.json()
            return cls(
                status=answer.status_code,
                error_code=str(body["error_code"]),
                message=str(body["message"]),
            )
        except (ValueError, KeyError, TypeError):
            message = f"the service answered {answer.status_code} {answer.reason_phrase}"
            return cls(status=answer.status_code, error_code="no_problem_document", message=message)


class ApiUnreachable(ClientError):
    """The transport's own words."""


class DownloadDiffers(ClientError):
    """Another digest than the job's."""
