"""A push from the hook to its last word: who may, is it sound, what becomes live."""
