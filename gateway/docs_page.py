"""The documentation page, whole without a network: Swagger UI's files come from a wheel."""

from pathlib import Path

import fastapi_offline
from fastapi import APIRouter
from fastapi.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from starlette.exceptions import HTTPException

_ASSETS = Path(fastapi_offline.__file__).parent / "static"
_PUBLIC_ASSETS = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "favicon.png": "image/png",
}
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Stemyard API</title>
<link rel="stylesheet" href="/docs/swagger-ui.css">
<link rel="icon" href="/docs/favicon.png">
</head>
<body>
<div id="swagger-ui"></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
"""
_START = """SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  persistAuthorization: true,
  presets: [SwaggerUIBundle.presets.apis, SwaggerUIBundle.SwaggerUIStandalonePreset],
});
"""
# Swagger UI sets styles on its elements and draws with data: images; scripts are files of ours.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; font-src 'self' data:; connect-src 'self'; frame-ancestors 'none'"
)

router = APIRouter(include_in_schema=False)


@router.get("/")
async def get_root() -> RedirectResponse:
    """Lead a visitor to the documentation."""
    return RedirectResponse("/docs")


@router.get("/docs")
async def get_docs() -> HTMLResponse:
    """Swagger UI over our OpenAPI."""
    return HTMLResponse(_PAGE, headers={"Content-Security-Policy": _POLICY})


@router.get("/docs/start.js")
async def get_start_script() -> Response:
    """What starts Swagger UI."""
    return Response(_START, media_type="text/javascript")


@router.get("/docs/{asset}")
async def get_asset(asset: str) -> FileResponse:
    """Swagger UI's own files."""
    if asset not in _PUBLIC_ASSETS:
        raise HTTPException(404)
    return FileResponse(
        _ASSETS / asset,
        media_type=_PUBLIC_ASSETS[asset],
        headers={"Cache-Control": "public, max-age=86400"},
    )
