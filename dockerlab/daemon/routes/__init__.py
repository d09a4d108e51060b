"""The routes, one module a resource: parse, call the backend, write."""
