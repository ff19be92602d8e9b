"""Exception classes of the shape that Nova's have: a message, or keywords for the format of the class."""


class NovaException(Exception):
    msg_fmt = "An unknown exception occurred."
    code = 500

    def __init__(self, message=None, **kwargs):
        self.kwargs = dict(kwargs)
        self.kwargs.setdefault("code", self.code)
        super().__init__(message or self.msg_fmt % kwargs)


class Invalid(NovaException):
    msg_fmt = "Bad Request - Invalid Parameters"
    code = 400


class NotFound(NovaException):
    msg_fmt = "Resource could not be found."
    code = 404


class InstanceNotFound(NotFound):
    msg_fmt = "Instance %(instance_id)s could not be found."


class InstanceExists(NovaException):
    msg_fmt = "Instance %(name)s already exists."


class InstanceInvalidState(Invalid):
    msg_fmt = "Instance %(instance_uuid)s in %(attr)s %(state)s. Cannot %(method)s while it is so."


class InvalidInput(Invalid):
    msg_fmt = "Invalid input received: %(reason)s"


class MigrationPreCheckError(NovaException):
    msg_fmt = "Migration pre-check error: %(reason)s"


class InstancePowerOnFailure(Invalid):
    msg_fmt = "Failed to power on instance: %(reason)s."
