"""A stand-in for the package cloudevents, for artifacts that do not carry it: its HTTP part, which Google's functions are given."""
