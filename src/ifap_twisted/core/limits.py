"""Every number that bounds something, named, with its reason."""

from __future__ import annotations

from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB

# The format (WIRE-FORMAT 2.2)
METADATA_BLOCK: Final = 148
"""The text of sealed metadata is longer than a multiple of this by ``METADATA_REST``."""
METADATA_REST: Final = 11
CONTENT_BLOCK: Final = 2048
"""Content is padded with blanks to a multiple of this; at least one blank, at most a block."""
HEADER_COLUMNS: Final = 77
BODY_COLUMNS: Final = 78
REFERENCE_METADATA_IFAP: Final = 591
"""The longest JSON without padding that ifaplib sees in its window of 1,024 bytes (FORMAT 1.6)."""
REFERENCE_METADATA_MAILFILE: Final = 443

# Large files (FORMAT 7)
CHUNK_LEAST: Final = 512 * KIB
CHUNK_MOST: Final = 2 * MIB
"""The content of a chunk, but for the last of a file: about 1 MiB on average."""
CHUNK_MASK_BITS: Final = 19
"""A boundary comes at one of so many places, as a power of two, from ``CHUNK_LEAST`` on."""
CHUNK_WINDOW: Final = 32
"""Bytes that decide whether there is a boundary behind them."""
CHUNK_PADDING_BITS: Final = 5
"""A chunk is padded so that so many leading bits of its length may differ from zero: at most 3 % more."""
MANIFEST_PIECES: Final = 256
"""Pieces of one manifest; above that the pieces are manifests: 1 GiB has 4 of them, so that a copy stays small."""
MANIFEST_DEPTH: Final = 3
"""Manifests of manifests of manifests: 16 TiB."""
MANIFEST_BYTES: Final = 64 * KIB
"""The text of one manifest: 256 pieces have 20 KiB."""
CHUNKED_SIZE: Final = 2**44
"""The largest file that a manifest may tell of."""
CHUNKS_KEPT: Final = 32 * MIB
"""Contents of chunks that are kept for whoever reads on, of one folder: some 30 chunks, so that a few who read at the
same time fetch nothing twice."""
CHUNKS_FETCHED: Final = 4
"""Chunks that are fetched and opened at a time, each taking some 8 MiB meanwhile; the rest waits."""
CHUNKS_AHEAD: Final = 2
"""Pieces that are fetched before they are asked for where reading goes on; twice as many for all readers together."""
READING_ON: Final = 256
"""Places where somebody may read on that are remembered."""
CHUNK_LOOKS: Final = 4
"""How often a chunk is looked up anew because the server changed the numbers, or what was known of it was wrong."""
READ_TOGETHER: Final = 256 * KIB
"""Of a file that is open for reading so much is asked for at least, and held: small reads are many."""
FILE_IN_MEMORY: Final = 256 * MIB
"""The longest file that is given as a whole: who takes it that way has to hold all of it."""
CHUNK_THRESHOLD: Final = 4 * MIB
"""A longer file goes out in chunks unless set otherwise: below this one message is faster, and others can read it."""
CHANGES_HELD: Final = 64 * MIB
"""What is written through an open file and cannot be stored before it is closed, as at a node."""
UPLOAD_WINDOW: Final = 16 * MIB
"""Of a large file so much is being sealed, sent or read back at a time: at 0.2 s for a round trip enough for 20 MB/s.
Plaintext and sealed it takes 40 MiB at most."""

# What a hostile folder may make us hold
HEADER_FIELDS: Final = 64 * KIB
"""The longest metadata header that is read; ours stay below 1 KiB, a path of 4,096 bytes below 12 KiB."""
JSON_DEPTH: Final = 16
SNAPSHOT_INFLATED: Final = 64 * MIB
"""A snapshot that inflates beyond this is refused: about 500,000 files."""
SNAPSHOT_RATIO: Final = 200
"""One above 1 MiB that inflates to more than this many times its size is refused (vector sec-snapshot-bomb has 1,027);
paths of 4,096 bytes that hardly differ reach about 100."""

SNAPSHOT_ENTRIES: Final = 1_000_000
SNAPSHOT_UIDS: Final = 2_000_000
"""Paths and messages that a snapshot names; each message twice, in the tree and in what was seen."""
SNAPSHOT_ENTRY: Final = 1 * MIB
"""The text of one entry: a path with about 100,000 versions."""

# Names (FORMAT 11.1)
SEGMENT_BYTES: Final = 255
PATH_BYTES: Final = 4096

# History
CLOCK_ENTRIES: Final = 8
"""Above this a new version leaves out writers of whom nothing is present any more (FORMAT 3.6)."""
WIRE_VERSIONS: Final = 5
"""``versions`` is never written below this, because the reference deletes the rest by it (FORMAT 1.5)."""

# Collecting (FORMAT 5.3)
GRACE_SECONDS: Final = 7 * 86400.0
LEAST_GRACE_SECONDS: Final = 86400.0
"""The shortest time between a plan and what it allows, whatever is configured."""
REVOCATION_IDS: Final = 1_000_000
"""Messages that one record of revoked keys names."""
PLAN_ENTRIES: Final = 10_000
"""Places named by one plan object; what is more goes into another."""
PLAN_BYTES: Final = 2 * MIB
RECORD_ENTRIES: Final = 5_000
"""Versions named by one collection record."""
RECORD_BYTES: Final = 4 * MIB
"""With clocks of 8 writers 5,000 entries have 1.5 MiB; somebody else's program may write longer ones."""
CHECKPOINT_WRITERS: Final = 4096
"""Writers named by one checkpoint (FORMAT 9.2); what is more goes into another."""
CHECKPOINT_BYTES: Final = 256 * KIB
CHECKPOINT_SECONDS: Final = 86400.0
"""How often a node looks whether there is anything new to tell in a checkpoint."""
CHECKPOINT_FIRST_SECONDS: Final = 1200.0
"""After the folder was opened a node looks for the first time: what it saw then cannot be taken back any more."""
COLLECT_SECONDS: Final = 86400
"""How often a node collects unless set otherwise."""
COLLECT_LEAST_SECONDS: Final = 3600
COLLECT_FIRST_SECONDS: Final = 600.0
"""After the folder was opened a node collects for the first time."""

# Checking by itself
CHECKED_PER_DAY: Final = 1.0
"""The percentage of the messages whose contents a node reads each day unless set otherwise."""
CHECK_SECONDS: Final = 6 * 3600.0
"""How often a node checks: a quarter of the day's share."""
CHECK_FIRST_SECONDS: Final = 300.0
"""After the folder was opened a node checks for the first time, if the last time was so long ago."""

# Locks (FORMAT 10)
LEASE_SECONDS: Final = 300
"""How long a lock lasts when nobody said otherwise."""
LEASE_MOST: Final = 7 * 24 * 3600
HOLDER_CHARACTERS: Final = 128
"""Of the name of a holder, which is for people."""
LOCKS_OVER: Final = 8
"""Locks that a lock object says are over; older ones were said to be by those."""

# Key slots (FORMAT 8.4)
KDF_MEMORY: Final = 64 * 1024
"""Of Argon2id for new slots, in KiB: the second recommended option of RFC 9106, a tenth of a second."""
KDF_PASSES: Final = 3
KDF_LANES: Final = 4
KDF_MEMORY_LEAST: Final = 19 * 1024
"""A slot that was derived with less is refused: OWASP's least for Argon2id is 19 MiB and 2 passes."""
KDF_PASSES_LEAST: Final = 2
KDF_MEMORY_MOST: Final = 256 * 1024
"""What a folder can make a device use, in KiB: it may have been written to by anybody."""
KDF_PASSES_MOST: Final = 16
KDF_LANES_MOST: Final = 16
KDF_WORK_MOST: Final = 1024 * 1024
"""Memory in KiB times passes: a second or two."""
SLOT_BYTES: Final = 64 * KIB
"""The content of a slot: 1 KiB, and 60 bytes for each earlier key; one that a person chose may have 4 KiB."""
SLOTS_TRIED: Final = 64
"""Slots of a kind that are tried with one passphrase, the newest first: somebody may have put others on top of it."""
EARLIER_SLOTS: Final = 512
"""Slots under earlier keys that are read, the oldest first: two for each change of the key. They are not stretched, and
what somebody puts on top of them changes nothing."""
KEYS_FOLLOWED: Final = 1024
"""Keys of one folder that are tried on its slots."""
FOLDER_OBJECT_BYTES: Final = 4 * KIB
"""The content of a folder object (FORMAT 8.2): ours have 150 bytes."""

# The wire
LINE: Final = 1 * MIB
"""A response line without its literals; Twisted's 16,384 drop the answer to a SEARCH of 3,000 messages."""
LITERAL: Final = 96 * MIB
"""A single literal: a message of the largest file that may be configured, sealed (37 % more)."""
RESPONSE_BACKLOG: Final = 128 * MIB
"""All untagged data of one command that is held before it is handed on."""
UIDS_IN_A_RANGE: Final = 2000
"""UIDs asked for by one FETCH of headers, so that memory and time between two reactor turns stay bounded."""
APPENDS_IN_FLIGHT: Final = 256
BYTES_IN_FLIGHT: Final = 4 * MIB
"""Bytes of APPENDs on the wire before the next waits (one message may be larger, alone)."""
SIZE_SLACK: Final = 4
"""By how many bytes RFC822.SIZE may exceed what was sent: a final CRLF, a blank after a colon (FORMAT 4.5)."""
CONNECTIONS: Final = 2

# Waits, in seconds
CONNECT_SECONDS: Final = 30.0
COMMAND_SECONDS: Final = 60.0
"""Without any byte arriving or leaving; a long transfer that moves is not cut."""
RECONNECT_SECONDS: Final = 10.0
"""After a failure the next attempt comes no earlier than this."""
RECONNECT_MAX_SECONDS: Final = 300.0
IDLE_SECONDS: Final = 540.0
"""IDLE is renewed before NATs forget the connection (bar R19: a change is noticed within 10 minutes)."""
POLL_SECONDS: Final = 60.0
"""Without IDLE."""
LOGOUT_SECONDS: Final = 2.0
SETTLE_SECONDS: Final = 60.0
"""How long an APPEND with an unknown outcome is looked for before the caller is told ``outcome-unknown``."""
WITHDRAWAL_SECONDS: Final = 600.0
"""A write that lost a race is taken back within so long after it was seen first (FORMAT 4.4); it waits at most for
reading back, a reconnection and a command."""
GONE_KEPT: Final = 16
"""Versions of a path that others had replaced and that went, by whatever hand, which a process remembers."""
MARKED_HEADS: Final = 256
"""Heads of one path that a device remembers (FORMAT 9.1)."""
MARKED_BELOW: Final = 64
"""Messages of a reference program that a device remembers to be older than the newest of their file."""
MARK_BYTES: Final = 16 * MIB
"""The marks of one path as text: so many heads with as long metadata as readers accept are about half of it."""
FAULTS: Final = 10_000
"""Messages of a folder of which a device remembers that it has set them aside, or that they could not be read."""

# Local
MAX_FILE_SIZE: Final = 24 * MIB
FILES_IN_FLIGHT: Final = 2
"""Plaintext held in memory at a time, in files of the greatest size; the rest waits."""
SILENCE_SECONDS: Final = 2.0
SILENT_SOURCES: Final = 8
"""A put whose source says nothing for so long lets others have its room; so many do, with 8 MiB each at most."""
JSON_BODY: Final = 64 * KIB
"""The largest JSON body of a control request."""
INLINE_BYTES: Final = 64 * KIB
"""Up to this sealing and opening take less than a thread switch is worth; above they go to a worker."""

# The basedir and its settings
LOCAL_FILE: Final = 16 * MIB
"""A file of the basedir that is read whole (``ifap.toml``, ``key.json``, ``account.json``)."""
SETTINGS_FILE: Final = 1 * MIB
SECRET_BYTES: Final = 4 * KIB
"""A password file, a key file, or what a password command prints."""
LARGEST_FILE: Final = 64 * MIB
"""The greatest ``max_file_size`` that may be configured: sealed it still fits in ``LITERAL``."""
FOLDER_BYTES: Final = 500
"""The name of a folder in UTF-8; modified UTF-7 makes it longer, and servers stop at 1,000 or before."""
ACCOUNT_BYTES: Final = 4 * KIB
"""An account URL."""
BASEDIR_WAIT_SECONDS: Final = 30.0
"""How long a verb waits for a basedir that another process holds (DESIGN 4.1)."""
BASEDIR_POLL_SECONDS: Final = 0.1
PASSWORD_COMMAND_SECONDS: Final = 30.0
KEYRING_SECONDS: Final = 60.0
"""How long a keyring may take: somebody may have to unlock it."""
WRITER_BLOCK: Final = 256
"""Numbers of a writer that are reserved by one durable write (FORMAT 3.1)."""
WRITER_NUMBER: Final = 2**53 - 1
"""The greatest number of a writer: the greatest integer that every JSON reader keeps."""

# The control resource (DESIGN 4.3)
CONTROL_HEADERS: Final = 64
"""Header fields of one request; all of them together may have 16 KiB, of which a path takes at most 12."""
CONTROL_QUERY: Final = 16
"""Parameters in the query of one request."""
CONTROL_CLIENTS: Final = 256
"""Connections that are open at a time; a further one is closed at once."""
CONTROL_CONNECTIONS: Final = 32
"""Requests that one client has under way at a time."""
CONTROL_IDLE_SECONDS: Final = 60.0
"""Without a byte of a request that is expected; our client lets go of an unused connection before."""
CONTROL_REUSE_SECONDS: Final = 20.0
CONTROL_STALL_SECONDS: Final = 120.0
"""How long a client may take none of an answer before it is cut off."""
CONTROL_ANSWER_SECONDS: Final = 3600.0
"""How long our client waits for an answer while no byte moves: a part of a file over a slow line takes most of it."""
CONTROL_SOURCE_SECONDS: Final = CONTROL_ANSWER_SECONDS + CONTROL_IDLE_SECONDS
"""How long a node waits for what our client reads from a pipe: the client gives up first, and says why."""
BODY_AHEAD: Final = 128 * KIB
"""Of a body that nobody takes this much is held before the sender has to wait."""
DRAIN_BYTES: Final = 64 * KIB
"""An unwanted body of up to this is read to its end so that the connection can be used again."""
LINGER_BYTES: Final = 2 * MIB
LINGER_SECONDS: Final = 5.0
"""How much, and how long, of an unwanted body is read so that its sender sees the answer."""
ANSWER_PIECE: Final = 64 * KIB
RANGES: Final = 16
"""Ranges of one file that one request may ask for."""
LIST_PIECE: Final = 200
"""Entries turned into JSON between two turns of the reactor."""
EVENTS_KEPT: Final = 1024
"""Events that a client may have missed and still gets; after a longer gap it is told ``renewed``."""
EVENTS_QUEUED: Final = 256
EVENT_CLIENTS: Final = 64
HEARTBEAT_SECONDS: Final = 15.0
JOBS_KEPT: Final = 64
JOBS_RUNNING: Final = 8
JOB_WAIT_SECONDS: Final = 60.0
"""The longest that one request waits for the end of a job."""
