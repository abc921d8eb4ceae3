"""What goes on beside the answers: the log of requests, what endpoints send, and actions on live decisions."""
