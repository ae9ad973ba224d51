"""The model in Django's admin."""

from django.contrib import admin

from .models import Greeting


@admin.register(Greeting)
class GreetingAdmin(admin.ModelAdmin):
    """Greetings, newest first."""

    list_display = ['name', 'source', 'created']
    list_filter = ['source']
    search_fields = ['name']
