"""What an attacker would send: pictures and model folders, each small, and each refused in a sentence."""
