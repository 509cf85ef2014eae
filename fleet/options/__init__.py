"""Every option of `fleet start`: what it may be, where its value comes from, what it means."""
