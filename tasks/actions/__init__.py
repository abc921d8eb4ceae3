"""From predictions to actions: rows that meet a condition are kept in an outbox, and delivered from there."""
