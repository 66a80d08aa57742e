"""What an attacker can send, against a real daemon over real sockets."""
