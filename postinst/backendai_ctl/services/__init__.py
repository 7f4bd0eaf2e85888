"""What a service is and how its configuration is made."""
