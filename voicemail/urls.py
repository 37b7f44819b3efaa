"""Where a PBX asks."""

from django.urls import path

from voicemail.asterisk.views import (
    PinCheckView,
    RealtimeView,
    SpoolConfirmationView,
    SpoolOrdersView,
)

app_name = "asterisk"

urlpatterns = [
    path("voicemail/<str:operation>", RealtimeView.as_view(), name="realtime"),
    path("pin-check", PinCheckView.as_view(), name="pin-check"),
    path("spool-orders", SpoolOrdersView.as_view(), name="spool-orders"),
    path("spool-orders/confirm", SpoolConfirmationView.as_view(), name="spool-confirmation"),
]
