"""Inside the process of user code, and what is known of user code before it runs."""
