"""Gets a file out of a folder by hand, without ifap-twisted: python by_hand.py KEYFILE FOLDER PATH OUTPUT

KEYFILE has the key, and former ones in further lines. FOLDER is a Maildir, or a directory of messages (.eml). PATH is
the name of the file. OUTPUT is written, and must not be there yet. What is lost of a large file is named, and is zeros.
"""

import base64
import email
import hashlib
import hmac
import json
import sys
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

PARTS = {"X-IFAP": "application/x-ifap", "X-Mailfile": "application/x-mailfile"}


def encoded(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Folder:
    def __init__(self, keys, directory):
        hashes = [hashlib.sha256(key.encode()).digest() for key in keys]
        self.cipher = MultiFernet([Fernet(base64.urlsafe_b64encode(one)) for one in hashes])
        self.messages = {}  # what the headers of the messages say, by path
        for file in sorted(file for file in directory.rglob("*") if file.is_file() and file.parent.name != "tmp"):
            header = email.message_from_bytes(file.read_bytes().replace(b"\r\n", b"\n").partition(b"\n\n")[0])
            for field, part in PARTS.items():
                try:
                    about = self.read_header(header[field])
                except (InvalidToken, ValueError, KeyError, TypeError):
                    continue  # other mail, another key, or damage
                self.messages.setdefault(about["fn"], []).append({**about, "file": file, "part": part})
        objects = [places for path, places in self.messages.items() if path.startswith("IFAP/keys/folder-")]
        contents = [json.loads(content) for content in map(self.content, objects) if content]
        self.name_keys = [base64.urlsafe_b64decode(content["chunks"]) for content in contents]

    def open(self, text):
        token = "".join(str(text).split()).encode("ascii", "replace")
        if token[:1] != b"!":
            raise InvalidToken
        return self.cipher.decrypt(token[1:]), token

    def read_header(self, text):
        found, token = self.open(text)
        if found[-1:] != b"}":
            raise InvalidToken  # a content in the place of a header
        about = json.loads(found)
        about["id"] = about.get("vid")
        if found[:2] == b"{\n":  # by a reference program: what it has of our keys is of the version before
            about = {key: about[key] for key in ("fn", "bytes", "deleted", "clock") if key in about}
            about["id"] = encoded(hashlib.sha256(token).digest())[:22]
        sealed = base64.urlsafe_b64decode(token[1:])[1:9]
        return {**about, "fn": str(about["fn"]), "bytes": int(about["bytes"]), "sealed": sealed}

    def content(self, places):
        """The content of the first of some equal messages that is whole; None where none is."""
        for about in places:
            parts = email.message_from_bytes(about["file"].read_bytes()).walk()
            for part in (part for part in parts if part.get_content_type() == about["part"]):
                try:
                    padded = self.open(part.get_payload())[0] if about["bytes"] else b""
                except InvalidToken:
                    break
                data = padded[: about["bytes"]]
                if len(data) == about["bytes"] and about.get("sha256", digest(data)) == digest(data):
                    return data
                break
        return None

    def newest(self, path):
        """The places of the version that none descends from; rather no removal, and of several the one sealed last."""
        ours = [one for one in self.messages.get(path, ()) if "writer" in one]
        theirs = [one for one in self.messages.get(path, ()) if "writer" not in one]
        versions = ours + sorted(theirs, key=lambda one: one["sealed"])[-1:]
        heads = [one for one in versions if not any(descends(other, one) for other in versions)]
        best = max(heads, key=lambda one: (not one.get("deleted"), one["sealed"]), default=None)
        return [one for one in heads if one["id"] == best["id"]]

    def chunks(self, manifest, begin=0):
        """Where each chunk begins, its length, name and content: None where it is lost."""
        for name, offset, length in manifest["pieces"]:
            data = self.content(self.messages.get("IFAP/chunks/" + name, ()))
            names = [encoded(hmac.digest(key, data or b"", "sha256")) for key in self.name_keys]
            if data is None or (names and name not in names):
                yield begin + offset, length, name, None
            elif manifest["depth"]:  # it is no chunk of the file but a manifest of the depth below
                yield from self.chunks(json.loads(data.rstrip(b"\0")), begin + offset)
            else:
                yield begin + offset, length, name, data[:length]


def digest(data):
    return encoded(hashlib.sha256(data).digest())


def descends(other, one):
    if "writer" not in one:
        return one["id"] in other.get("parents", ())
    return other["id"] != one["id"] and other.get("clock", {}).get(one["writer"], 0) >= one["clock"][one["writer"]]


def main(keyfile, directory, path, output):
    folder = Folder([line for line in Path(keyfile).read_text().splitlines() if line], Path(directory))
    places = folder.newest(path.lstrip("/"))
    if not places or places[0].get("deleted"):
        return f"There is no file {path}."
    if Path(output).exists():
        return f"{output} is there already."
    about, data, lost = places[0], folder.content(places), 0
    if data is None or about.get("v", 1) > 1 or about.get("needs", []) not in ([], ["chunks"]):
        return "Its newest version is damaged, or one that a later release wrote."
    manifest = json.loads(data) if "chunks" in about else {"scheme": 1, "depth": 0, "pieces": []}
    if manifest["scheme"] != 1:
        return "Its newest version is one that a later release wrote."
    with Path(output).open("xb") as file:
        for begin, length, name, chunk in folder.chunks(manifest):
            file.seek(begin)
            file.write(chunk or b"")
            if chunk is None:
                lost += length
                print(f"Lost: {length} bytes from byte {begin} on, in the chunk {name}.", file=sys.stderr)
        file.write(b"" if "chunks" in about else data)
        file.truncate(about.get("size", about["bytes"]))
    return f"{lost} bytes are lost." if lost else None


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]) if len(sys.argv) == 5 else __doc__)
