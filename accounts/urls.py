"""The pages beside the admin and the Web API: passwords."""

from django.urls import path

from accounts import passwords

urlpatterns = [
    path("password/", passwords.OwnPassword.as_view(), name="password"),
    path("password/changed/", passwords.PasswordChanged.as_view(), name="password_changed"),
    path("password/<uidb64>/<token>/", passwords.SetPassword.as_view(), name="password_link"),
]
