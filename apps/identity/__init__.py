"""Users' keys and login tokens, what each may do, and passwords that nobody can guess at leisure."""
