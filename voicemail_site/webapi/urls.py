"""The endpoint under its three names, and the grammar of its answers."""

from django.urls import path, re_path

from voicemail_site.webapi.grammar import rng_module
from voicemail_site.webapi.views import WebApiView

urlpatterns = [
    # An optional slash instead of a redirect: a redirect would lose a POST's body.
    re_path(r"^(?:webapi|restapi|api)/?$", WebApiView.as_view(), name="webapi"),
    path("rng/<str:name>.rng", rng_module, name="rng"),
]
