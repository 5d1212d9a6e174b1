"""The exceptions of the package functions-framework, by their names. Raised by the stand-in; google/__init__.py shows them."""


class FunctionsFrameworkException(Exception):
    pass


class InvalidConfigurationException(FunctionsFrameworkException):
    pass


class InvalidTargetTypeException(FunctionsFrameworkException):
    pass


class MissingTargetException(FunctionsFrameworkException):
    pass
