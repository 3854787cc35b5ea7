"""E-mail, sent by durable tasks."""
