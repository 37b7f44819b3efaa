"""Passwords: one's own, and the link by which somebody without one sets it.

A link opens once and for a day, and it begins with a setting, never with the Host header. It is
void once it was used, another one was made, or the user was disabled, logged in, or got another
password or e-mail address.
"""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin
from django.contrib.auth.forms import SetPasswordForm, SetPasswordMixin
from django.contrib.auth.tokens import PasswordResetTokenGenerator
from django.contrib.auth.views import INTERNAL_RESET_SESSION_TOKEN, PasswordResetConfirmView
from django.core.exceptions import ValidationError
from django.core.mail import EmailMessage
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.template.loader import render_to_string
from django.urls import reverse, reverse_lazy
from django.utils.decorators import method_decorator
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.generic import FormView, TemplateView

from accounts import lockout, services
from accounts.authentication import LoginRefusedError, log_in, may_log_in
from accounts.history import record_change
from accounts.models import Channel, User
from accounts.validators import PASSWORD_MAX_LENGTH, USER_ADDRESS_MAX_LENGTH
from voicemail_site.logs import request_id

LOGIN_FAILED = "The username or password is incorrect."

_logger = logging.getLogger(__name__)


class _Links(PasswordResetTokenGenerator):
    """Django's tokens, of which the one that was made last is good, while the user is enabled."""

    key_salt = "accounts.passwords"

    def _make_hash_value(self, user: Any, timestamp: int) -> str:
        return f"{super()._make_hash_value(user, timestamp)}{user.password_link_made}"

    def check_token(self, user: Any, token: str | None) -> bool:
        is_open = bool(user and user.password_link_made) and may_log_in(user)
        return is_open and super().check_token(user, token)


links = _Links()


def make_link(user: User) -> str:
    """Make the link by which a user sets a password, inside ``record_change``.

    Raises ValidationError for a disabled user.
    """
    services.open_password_link(user)
    uid = urlsafe_base64_encode(force_bytes(user.pk))
    path = reverse("password_link", kwargs={"uidb64": uid, "token": links.make_token(user)})
    return f"{settings.PUBLIC_URL}{path}"


def is_mailed(user: User) -> bool:
    """Tell whether a link for a user goes by mail, or is shown to whoever made it."""
    return bool(settings.EMAIL_HOST and user.email)


def mail_link(user: User, link: str) -> bool:
    """Send a user the link, and tell whether the mail server took it."""
    body = render_to_string("registration/password_mail.txt", {"user": user, "link": link})
    message = EmailMessage("Set your password for voicemail provisioning", body, to=[user.email])
    try:
        message.send()
    except OSError:  # Those of SMTP are among them.
        _logger.warning("A password link could not be mailed.", exc_info=True)
        return False
    return True


def _limited(form: forms.BaseForm) -> None:
    """Take no password that would be too long to log in with."""
    for name in ("new_password1", "new_password2"):
        field: Any = form.fields[name]
        field.widget.attrs["maxlength"] = PASSWORD_MAX_LENGTH
    # The second one must equal the first.
    form.fields["new_password2"].help_text = ""
    form.fields["new_password1"].validators.append(_validate_length)


def _validate_length(password: str) -> None:
    if len(password) > PASSWORD_MAX_LENGTH:
        raise ValidationError(f"Use at most {PASSWORD_MAX_LENGTH} characters.", code="too_long")


class OwnPasswordForm(SetPasswordMixin, forms.Form):  # type: ignore[type-arg]  # as below
    """One's own password, for those who do not get into the admin; it counts as a login."""

    username = forms.CharField(
        label="Username",
        max_length=USER_ADDRESS_MAX_LENGTH,
        widget=forms.TextInput(attrs={"autocomplete": "username", "autocapitalize": "none"}),
        help_text="Your name to log in with, or your address such as joe@example.com.",
    )
    old_password = forms.CharField(
        label="Present password",
        max_length=PASSWORD_MAX_LENGTH,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )
    new_password1, new_password2 = SetPasswordMixin.create_password_fields(
        "New password", "New password again"
    )

    def __init__(self, *args: Any, request: HttpRequest, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.request = request
        self.is_locked = False
        self.user: User | None = None
        _limited(self)

    def clean(self) -> dict[str, Any]:
        """Check the present password only with a new one at hand: a wrong one counts."""
        self.validate_passwords("new_password1", "new_password2")
        if not self.errors:
            self.user = self._log_in()
            self.validate_password_for_user(self.user, "new_password1")
        return self.cleaned_data

    def _log_in(self) -> User:
        name, password = self.cleaned_data["username"], self.cleaned_data["old_password"]
        try:
            return log_in(self.request, username=name, password=password)
        except LoginRefusedError as exc:
            self.is_locked = exc.is_locked
            message = lockout.locked_message() if exc.is_locked else LOGIN_FAILED
            raise ValidationError(message) from exc


class _Page:
    """What the pages have in common: the admin's look, for people who are not logged in."""

    title = ""

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        site = admin.site.each_context(self.request)  # type: ignore[attr-defined]  # a view's
        context: dict[str, Any] = super().get_context_data(**kwargs)  # type: ignore[misc]  # a view's
        return {**site, "title": self.title, **context}


@method_decorator((sensitive_post_parameters(), never_cache), name="dispatch")
class OwnPassword(_Page, FormView[OwnPasswordForm]):
    """Change one's own password with the present one, without a login."""

    title = "Change your password"
    form_class = OwnPasswordForm
    template_name = "registration/password_form.html"
    success_url = reverse_lazy("password_changed")

    def get_form_kwargs(self) -> dict[str, Any]:
        return super().get_form_kwargs() | {"request": self.request}

    def form_valid(self, form: OwnPasswordForm) -> HttpResponse:
        user = form.user
        if user is not None:
            with record_change(by=user, channel=Channel.WEB, request_id=request_id.get()):
                services.set_password(user, form.cleaned_data["new_password1"])
        return super().form_valid(form)

    def form_invalid(self, form: OwnPasswordForm) -> HttpResponse:
        response = super().form_invalid(form)
        if form.is_locked:
            response.status_code = HTTPStatus.TOO_MANY_REQUESTS
        return response


class PasswordByLinkForm(SetPasswordForm):  # type: ignore[type-arg]  # It takes none at run time.
    """A new password, twice."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["new_password2"].label = "New password again"
        _limited(self)


class SetPassword(_Page, PasswordResetConfirmView):
    """Set a password by a link.

    Django's view moves the token from the path into the session at once, so that no page has an
    address that opens something.
    """

    title = "Set your password"
    form_class = PasswordByLinkForm
    template_name = "registration/password_form.html"
    success_url = reverse_lazy("password_changed")
    token_generator = links
    reset_url_token = "set"  # noqa: S105  # It stands in the token's place.

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        response = super().dispatch(request, *args, **kwargs)
        if kwargs["token"] != self.reset_url_token:
            # From the form, browsers would send no Origin either, and be refused its POST.
            response.headers["Referrer-Policy"] = "no-referrer"
        return response

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context = super().get_context_data(**kwargs)
        if not self.validlink:
            context["title"] = "This link does not open any more"
        return context

    def form_valid(self, form: Any) -> HttpResponse:
        token = self.request.session.pop(INTERNAL_RESET_SESSION_TOKEN, None)
        with record_change(by=form.user, channel=Channel.WEB, request_id=request_id.get()):
            user = self._holder(form.user.pk, token)
            if user is not None:
                services.set_password(user, form.cleaned_data["new_password1"])
        if user is None:
            self.validlink = False
            return self.render_to_response(self.get_context_data())
        lockout.unlock(user)
        return HttpResponseRedirect(self.get_success_url())

    def _holder(self, pk: int, token: str | None) -> User | None:
        """Give the link's user, locked: of two who use it at once the second finds it used."""
        user = User.unscoped.select_for_update().filter(pk=pk).first()
        return user if links.check_token(user, token) else None


class PasswordChanged(_Page, TemplateView):
    """Say that a password was changed, and what follows from it."""

    title = "Your password was changed"
    template_name = "registration/password_changed.html"
