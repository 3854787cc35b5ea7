"""What pages of several apps in the admin have in common."""
