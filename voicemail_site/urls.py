"""Where everything is."""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import TemplateView

from voicemail_site.health import healthz, readyz

urlpatterns = [
    # What is asked most comes first.
    path("asterisk/", include("voicemail.urls")),
    path("", include("voicemail_site.webapi.urls")),
    path("", TemplateView.as_view(template_name="landing.html"), name="landing"),
    path("", include("accounts.urls")),
    path("admin/", admin.site.urls),
    path("healthz", healthz, name="healthz"),
    path("readyz", readyz, name="readyz"),
]
