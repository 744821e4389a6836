"""Who may log in: a user's password is what the account upstream takes.

The first login hands the password on to the service, which opens the folder with it. From then on it is compared with
the one that was accepted; another one is only tried upstream when that one is not accepted there any more, so that
nobody can end the sessions of a user, or lock the account upstream, by guessing.
"""

from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.credentials import IUsernamePassword
from twisted.cred.error import UnauthorizedLogin
from twisted.cred.portal import IRealm
from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.task import deferLater
from twisted.mail.imap4 import IAccount, MailboxException
from zope.interface import implementer

from ifap_twisted.deferreds import within
from ifap_twisted.errors import AuthenticationRefused, IFAPError
from ifap_twisted.secrecy import Credentials, Secret
from mailproxy.mailboxes import Account, refusal

LOGIN_SECONDS = 40.0
"""How long a first login waits for the server upstream."""
ASK_SECONDS = 5.0
"""How long a later one does, when that cannot be reached."""
GUESS_SECONDS = 2.0
"""After a wrong password."""


class User:
    """One user: the service of the folder, the mailboxes in it, and the password, once it is known to be right."""

    def __init__(self, service):
        self.service = service
        self.account = Account(service.filesystem)
        self._accepted = None
        self._one_at_a_time = DeferredLock()

    def check(self, password):
        """Fires when the password is right.

        :raises UnauthorizedLogin: it is wrong. :raises MailboxException: nobody can say now.
        """
        return self._one_at_a_time.run(lambda: Deferred.fromCoroutine(self._check(Secret(password))))

    async def _check(self, password):
        try:
            if self._accepted is None or not await self._still_accepted():
                await self._try(password)
            elif password != self._accepted:  # takes the same time for all
                raise AuthenticationRefused
        except AuthenticationRefused:
            await deferLater(self.service.clock, GUESS_SECONDS)
            raise UnauthorizedLogin from None
        except IFAPError as error:
            raise MailboxException(refusal(error)) from error

    async def _try(self, password):
        self._accepted = None
        await self.service.login(Credentials(self.service.settings.account.user, password))
        await within(self.service.when_ready(), LOGIN_SECONDS, self.service.clock, "Logging in upstream")
        self._accepted = password

    async def _still_accepted(self):
        """Whether the server upstream takes the password that it took before; if it does not answer, it still does."""
        if (await self.service.status()).state == "connected":
            return True
        try:
            await within(self.service.filesystem.refresh(), ASK_SECONDS, self.service.clock, "Asking upstream")
        except AuthenticationRefused:
            return False
        except IFAPError:
            return True
        return True


@implementer(ICredentialsChecker)
class Passwords:
    """Checks names and passwords."""

    credentialInterfaces = (IUsernamePassword,)

    def __init__(self, users):
        self._users = users

    def requestAvatarId(self, credentials):
        """The name of the user."""
        return Deferred.fromCoroutine(self._name(credentials))

    async def _name(self, credentials):
        name = credentials.username.decode("utf-8", "replace")
        if name not in self._users:
            raise UnauthorizedLogin
        await self._users[name].check(credentials.password)
        return name


@implementer(IRealm)
class Realm:
    """Gives a user's mailboxes; all sessions of a user share them."""

    def __init__(self, users):
        self._users = users

    def requestAvatar(self, avatarId, mind, *interfaces):  # noqa: ARG002 -- Twisted's signature
        """The account of a user."""
        if IAccount not in interfaces:
            raise NotImplementedError
        return IAccount, self._users[avatarId].account, lambda: None
