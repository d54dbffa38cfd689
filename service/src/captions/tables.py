"""What the service stores, beside the ledger of its jobs."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import DateTime, Index, MetaData, UniqueConstraint, func, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """Names every constraint, so that migrations can name it too."""

    metadata = MetaData(naming_convention={"pk": "pk_%(table_name)s", "uq": "uq_%(table_name)s_%(column_0_name)s"})


class Account(Base):
    """A user; the word itself is taken in SQL. Its constraints' names are what ``errors`` tells conflicts by."""

    __tablename__ = "account"
    __table_args__ = (
        UniqueConstraint("subject"),
        Index("uq_account_email", text("lower(email)"), unique=True),
        Index("ix_account_created_at_id", "created_at", "id"),  # the order in which they are listed
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    subject: Mapped[str]
    """The issuer's name for them, from the token: ours to know, no answer holds it."""
    email: Mapped[str]
    name: Mapped[str]
    age: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())


class Slide(Base):
    """An uploaded slide, kept for the job that reads it."""

    __tablename__ = "slide"

    job_id: Mapped[UUID] = mapped_column(primary_key=True)
    media_type: Mapped[str]
    content: Mapped[bytes]
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    owner: Mapped[str | None]
    """The subject of the token that posted it; none in rows of the first release."""


class Report(Base):
    """A viewer's report of a mistake in a caption."""

    __tablename__ = "report"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    text: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
