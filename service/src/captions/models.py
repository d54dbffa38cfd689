"""What comes in and goes out over HTTP, apart: what a model for going out does not name cannot leave."""

import unicodedata
from datetime import datetime
from typing import Annotated, Any, Final, Self
from uuid import UUID

from plimsoll_runtime.incoming import Incoming
from plimsoll_runtime.jobs.ledger import JobStatus
from pydantic import (
    BaseModel,
    ConfigDict,
    EmailStr,
    Field,
    StringConstraints,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

JOINERS: Final = "\u200c\u200d"
"""Invisible, but Persian names and many scripts of India are not written without them."""

NO_NUL: Final = r"^[^\x00]*$"
"""JSON's strings may hold the one character that PostgreSQL's cannot: a 422 rather than a failed INSERT."""

Name = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=50),
    Field(json_schema_extra={"pattern": r"\S"}),
]
Age = Annotated[int, Field(ge=0, le=150)]
LEFT_OUT: Any = Field(default_factory=lambda: None)
"""May be missing, but not null: a default is not validated."""


class _UserFields(Incoming):
    @field_validator("name", check_fields=False)
    @classmethod
    def _is_one_line(cls, name: str) -> str:
        """Refuse what is not seen but acts: controls, line ends, and marks that turn the direction of what follows."""
        if any(unicodedata.category(each) in {"Cc", "Cf", "Zl", "Zp"} and each not in JOINERS for each in name):
            raise PydanticCustomError("control_character", "Must not contain control characters")
        if not name.strip(JOINERS):
            raise PydanticCustomError("invisible", "Must contain something that can be seen")
        return name


class UserIn(_UserFields):
    """A new user. Whose it is, the token says."""

    email: EmailStr
    name: Name
    age: Age


class UserPatch(_UserFields):
    """What is to change of a user; what is left out stays."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    email: EmailStr = LEFT_OUT
    name: Name = LEFT_OUT
    age: Age = LEFT_OUT

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        if not self.model_fields_set:
            raise PydanticCustomError("empty", "Must change something")
        return self


class UserView(BaseModel):
    """A user as they see themselves. The issuer's name for them stays inside."""

    id: UUID
    email: Annotated[str, Field(json_schema_extra={"format": "email"})]
    name: str
    age: int
    created_at: datetime


class UserPage(BaseModel):
    """Some users, oldest first, and where the next ones begin."""

    items: list[UserView]
    next: str | None
    """The next page's ``cursor``; none on the last page."""


class JobAccepted(BaseModel):
    """The answer to a job that has been stored and will be run."""

    job_id: UUID
    status: JobStatus


class JobResult(BaseModel):
    """What a slide's job found."""

    text: str


class JobView(BaseModel):
    """A job as its owner sees it."""

    job_id: UUID
    status: JobStatus
    progress: Annotated[float, Field(ge=0, le=1)]
    attempts: int
    result: JobResult | None
    error: str | None
    created_at: datetime
    finished_at: datetime | None


class ReportIn(Incoming):
    """A viewer reports a mistake; the id is theirs, so that a repeated POST is seen to be one."""

    report_id: UUID
    text: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500, pattern=NO_NUL)]


class ReportView(BaseModel):
    """A stored report."""

    report_id: UUID
    text: str
    created_at: datetime


class Count(BaseModel):
    """How many there are."""

    count: int
