"""The exceptions of the package cloudevents that reading an event raises."""


class GenericException(Exception):
    pass


class MissingRequiredFields(GenericException):
    pass


class InvalidRequiredFields(GenericException):
    pass
