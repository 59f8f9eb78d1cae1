"""Training in several processes: who is who, and messages between them."""
