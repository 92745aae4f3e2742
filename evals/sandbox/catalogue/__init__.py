"""Programs whose verdict is known: cheats, attacks and honest solutions."""
