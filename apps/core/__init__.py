"""What every app shares: identifiers, problem responses, request context, resources."""
