"""The reference "floor": a bare view that returns a constant."""

from django.http import HttpRequest, HttpResponse
from django.urls import re_path

TEXT = b"A constant."


def constant(request: HttpRequest) -> HttpResponse:
    """Return a constant."""
    # Without middleware nobody else would tell the length, and the answer would go in chunks.
    return HttpResponse(TEXT, content_type="text/plain", headers={"Content-Length": len(TEXT)})


urlpatterns = [re_path("", constant)]
