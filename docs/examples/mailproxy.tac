"""A mail proxy: a local IMAP server that keeps each user's mail, encrypted, in a folder of that user's own account.

    twistd -n -y mailproxy.tac

A mail program logs in here with the password of the account upstream; that is when this proxy learns it. To the server
upstream the folder holds sealed messages only. Below it mail is files, one for each message::

    mail/INBOX/17.eml        a message, by its UID; its time is the INTERNALDATE
    mail/INBOX/mailbox.json  UIDVALIDITY, the next UID, flags

and everything can be taken out again without this program. A basedir is used by one process at a time: stop it first::

    ifap --basedir ~/.mailproxy/alice login --account imaps://alice@imap.example.org --folder IFAP_MAIL
    ifap --basedir ~/.mailproxy/alice get -r /mail .

Only one proxy may serve a folder at a time.

On the first login to an empty folder a key is made. It is kept in the user's basedir; without it nobody can read the
mail: keep a copy of what ``ifap --basedir ~/.mailproxy/alice info --show-key`` prints.

The parts are in the package ``mailproxy`` beside this file:

``users``       who may log in: twisted.cred, and the password that goes on to the service
``directories`` a mailbox as a directory of the filesystem: UIDs, flags, what is durable when
``mailboxes``   Twisted's ``IAccount`` and ``IMailbox`` over them
``messages``    Twisted's ``IMessage`` over the files
``searching``   the criteria of SEARCH
``serving``     Twisted's ``IMAP4Server``, where it does not wait for Deferreds or is not exact
"""

import os
import sys
from pathlib import Path

from twisted.application import strports
from twisted.application.service import Application, MultiService
from twisted.cred.portal import Portal

sys.path.insert(0, str(Path(__file__).resolve().parent))

from mailproxy.serving import MailFactory
from mailproxy.users import Passwords, Realm, User

from ifap_twisted.accounts import parse_account
from ifap_twisted.service import IFAPService
from ifap_twisted.settings import Settings

# What is configured: NAME=ACCOUNT pairs, and where.
USERS = os.environ.get(
    "MAILPROXY_USERS", "alice=imaps://alice@imap.example.org bob=imaps://bob@example.net@imap.example.net"
)
LISTEN = os.environ.get(
    "MAILPROXY_LISTEN", "tcp:1143:interface=127.0.0.1"
)  # passwords come in the clear: loopback only
FOLDER = os.environ.get("MAILPROXY_FOLDER", "IFAP_MAIL")
BASE = Path(os.environ.get("MAILPROXY_BASE", "~/.mailproxy")).expanduser()
CA_FILE = os.environ.get("MAILPROXY_CA_FILE")  # the certificates to trust upstream, instead of the system's


def filesystem_service(name: str, account: str) -> IFAPService:
    """The service of one user: it starts without a password, and waits for ``login``."""
    settings = Settings(
        account=parse_account(account),
        folder=FOLDER,
        basedir=BASE / name,
        ca_file=None if CA_FILE is None else Path(CA_FILE),
    )
    service = IFAPService(settings, make_key=True)
    service.setName(f"ifap-{name}")
    return service


proxy = MultiService()
BASE.mkdir(mode=0o700, parents=True, exist_ok=True)
users = {}
for pair in USERS.split():
    name, _, account = pair.partition("=")
    ifap = filesystem_service(name, account)
    ifap.setServiceParent(proxy)
    users[name] = User(ifap)

mail = strports.service(LISTEN, MailFactory(Portal(Realm(users), [Passwords(users)])))
mail.setServiceParent(proxy)  # the last: stopped before the filesystems are

application = Application("mailproxy")
proxy.setServiceParent(application)
