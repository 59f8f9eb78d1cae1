"""One command in several processes: who is who, how they meet, and messages between them."""
