"""E-mails over HTTP."""
