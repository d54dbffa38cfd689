"""/users and /me. A token makes one user, its own; other people's are for who has the administrator's scope.

To everyone else they do not exist: a 403 would say that they do.
"""

from typing import Annotated
from uuid import UUID, uuid4

from fastapi import Depends, Response, status
from plimsoll_runtime.errors import ForbiddenError
from plimsoll_runtime.incoming import Received
from plimsoll_runtime.openapi import documented
from plimsoll_runtime.paging import Page, Position
from sqlalchemy import select

from captions.deps import ADMIN, Administrator, CurrentUser, Once, Session
from captions.errors import EmailTakenError, NoUserYetError, UnknownUserError, UserExistsError
from captions.models import UserIn, UserPage, UserPatch, UserView
from captions.routes import ONCE, resource
from captions.tables import Account
from captions.welcome import welcome

router = resource("users")
me = resource("me")


async def of_id(user_id: UUID, user: CurrentUser, session: Session) -> Account:
    """The user of the path, if it is the caller's own or the caller is an administrator."""
    account = await session.get(Account, user_id)
    if account is None or (account.subject != user.subject and ADMIN not in user.scopes):
        raise UnknownUserError
    return account


async def of_token(user: CurrentUser, session: Session) -> Account:
    """The caller's own user."""
    account = await session.scalar(select(Account).where(Account.subject == user.subject))
    if account is None:
        raise NoUserYetError
    return account


Named = Annotated[Account, Depends(of_id, scope="function")]
Mine = Annotated[Account, Depends(of_token, scope="function")]


@router.post(
    "",
    status_code=status.HTTP_201_CREATED,
    dependencies=[Once],
    responses=documented(*ONCE, EmailTakenError, UserExistsError),
)
async def create(new: Received[UserIn], user: CurrentUser, session: Session, response: Response) -> UserView:
    """Make the caller's user, and promise them a mail. A broken constraint says which (``errors.CONFLICTS``)."""
    account = Account(id=uuid4(), subject=user.subject, email=new.email, name=new.name, age=new.age)
    session.add(account)
    await session.flush()
    await welcome(session, user_id=account.id, email=account.email)
    response.headers["location"] = f"{router.prefix}/{account.id}"
    return _view(account)


@router.get("", responses=documented(ForbiddenError))
async def read_all(_: Administrator, page: Page, session: Session) -> UserPage:
    """All users, a page at a time."""
    rows = await session.scalars(page.of(select(Account), Account.created_at, Account.id))
    accounts, following = page.cut(rows.all(), lambda each: Position(at=each.created_at, id=each.id))
    return UserPage(items=[_view(each) for each in accounts], next=following)


@router.get("/{user_id}", responses=documented(UnknownUserError))
async def read(account: Named) -> UserView:
    """One user."""
    return _view(account)


@router.patch("/{user_id}", responses=documented(UnknownUserError, EmailTakenError))
async def update(patch: Received[UserPatch], account: Named, session: Session) -> UserView:
    """Change what is given, and nothing else."""
    return await _change(account, patch, session)


@router.delete("/{user_id}", status_code=status.HTTP_204_NO_CONTENT, responses=documented(UnknownUserError))
async def delete(account: Named, session: Session) -> None:
    """Forget a user."""
    await session.delete(account)


@me.get("", responses=documented(NoUserYetError))
async def read_me(account: Mine) -> UserView:
    """The caller's user."""
    return _view(account)


@me.patch("", responses=documented(NoUserYetError, EmailTakenError))
async def update_me(patch: Received[UserPatch], account: Mine, session: Session) -> UserView:
    """Change what is given of the caller's user."""
    return await _change(account, patch, session)


@me.delete("", status_code=status.HTTP_204_NO_CONTENT, responses=documented(NoUserYetError))
async def delete_me(account: Mine, session: Session) -> None:
    """Forget the caller's user."""
    await session.delete(account)


async def _change(account: Account, patch: UserPatch, session: Session) -> UserView:
    for name, value in patch.model_dump(exclude_unset=True).items():
        setattr(account, name, value)
    await session.flush()
    return _view(account)


def _view(account: Account) -> UserView:
    return UserView(
        id=account.id,
        email=account.email,
        name=account.name,
        age=account.age,
        created_at=account.created_at,
    )
