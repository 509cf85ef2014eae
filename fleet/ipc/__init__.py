"""How the processes of one host meet and speak: channels, shared memory, the control socket."""
