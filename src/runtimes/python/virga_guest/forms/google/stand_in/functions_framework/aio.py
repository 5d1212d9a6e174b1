"""Async functions are what the stand-in does not have: whoever imports this hears of it."""

raise ImportError("functions_framework.aio: async functions are not run by form google; use @functions_framework.http, or runtime: web")
