"""The reference "stock": what the Django REST framework gives by itself."""

from typing import Any

from django.db.models import QuerySet
from django.urls import include, path
from rest_framework import pagination, routers, serializers, viewsets

from benchmarks.stock.models import Box


class BoxSerializer(serializers.ModelSerializer[Box]):
    """Every column, as it is."""

    class Meta:
        model = Box
        fields = "__all__"
        read_only_fields = ("account", "domain", "status", "created", "modified")


class Pages(pagination.LimitOffsetPagination):
    """Pages with their count, as the framework makes them."""

    default_limit = 20


class BoxViewSet(viewsets.ModelViewSet[Box]):
    """Boxes of the caller's account, or of one of its organizations."""

    serializer_class = BoxSerializer
    pagination_class = Pages

    def get_queryset(self) -> QuerySet[Box]:
        # Whose the organization is stays unasked: stock is given what makes it quicker.
        if organization := self.request.GET.get("organization"):
            return Box.objects.filter(organization=organization)
        user: Any = self.request.user
        return Box.objects.filter(account=user.account_id)

    def perform_create(self, serializer: serializers.BaseSerializer[Box]) -> None:
        organization = serializer.validated_data["organization"]
        serializer.save(account_id=organization.account_id, domain=organization.domain)


router = routers.SimpleRouter()
router.register("boxes", BoxViewSet, basename="box")

urlpatterns = [path("", include(router.urls))]
