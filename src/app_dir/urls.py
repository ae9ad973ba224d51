"""Addresses of the site."""

from django.contrib import admin
from django.contrib.staticfiles.urls import staticfiles_urlpatterns
from django.urls import path

from . import views

urlpatterns = [
    path('', views.page, name='page'),
    path('status', views.status, name='status'),
    path('api/info', views.info, name='info'),
    path('api/greetings', views.greetings, name='greetings'),
    path('api/documents/<str:name>', views.document, name='document'),
    path('admin/', admin.site.urls),
    # Under DEBUG only, whatever the server is; else nginx serves STATIC_ROOT.
    *staticfiles_urlpatterns(),
]
