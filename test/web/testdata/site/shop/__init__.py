"""A site without a framework: what the tests need of an application."""
