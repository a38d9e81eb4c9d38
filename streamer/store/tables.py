"""Every table of the store.

A change here needs a higher `SCHEMA_VERSION` and a step in `streamer.store.migrations`.
Times named `*_ns` are event or record times; `*_at` are wall-clock seconds since 1970 UTC.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    event,
    text,
)

SCHEMA_VERSION = 10
"""The version of the tables below, kept in `meta` under ``schema_version``."""

SETTLED = 2
"""A transition's `routed` where it is sent to nobody: everybody was told before."""

HELD = 3
"""A transition's `routed` while its log is folded again: it is sent once that has come to where it was."""

metadata = MetaData()

_Long = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers rows itself only as INTEGER

meta = Table(
    "meta",
    metadata,
    Column("key", Text, primary_key=True),
    Column("value", Text, nullable=False),
)

configs = Table(
    "configs",
    metadata,
    Column("hash", Text, primary_key=True),
    Column("text", Text, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("unused_since", Float),  # when no task was seen to need it any more
)

tasks = Table(
    "tasks",
    metadata,
    Column("id", _Long, primary_key=True, autoincrement=True),
    # what its log is known by: of topics joined their names with + between them, and -1 for all partitions
    Column("topic", Text, nullable=False),
    Column("incarnation", Text, nullable=False),
    Column("partition", Integer, nullable=False),
    Column("epoch", Integer, nullable=False, default=0),
    Column("config_hash", Text, nullable=False),
    Column("code_version", Text, nullable=False),
    Column("started_at", Float, nullable=False),
    Column("ended_at", Float),  # an ended log's row is never taken up again
    Column("ended_why", Text),
    Column("doubtful_since", Float),  # since when alerts may have been sent by a store that is lost
    UniqueConstraint("topic", "incarnation", "partition"),
    sqlite_autoincrement=True,
)

members = Table(
    "members",  # the partitions, or files, of a task's log; their order fixes how they are merged
    metadata,
    Column("task_id", _Long, ForeignKey("tasks.id"), primary_key=True, autoincrement=False),
    Column("place", Integer, primary_key=True, autoincrement=False),
    Column("topic", Text, nullable=False),
    Column("incarnation", Text, nullable=False),
    Column("partition", Integer, nullable=False),
    Column("position", _Long, nullable=False),  # where the task began; once it has ended, how far it came
    # of records before this offset everybody was told before: their alerts are written, not sent
    Column("settled", _Long, nullable=False, default=0, server_default="0"),
    # alerts of records before this offset may have been sent by a store that is lost
    Column("doubtful", _Long, nullable=False, default=0, server_default="0"),
    Column("gone_at", Float),  # since when it is not there any more; the others are read on
    Index("members_by_partition", "topic", "partition"),
)

journal = Table(
    "journal",
    metadata,
    Column("task_id", _Long, ForeignKey("tasks.id"), primary_key=True),
    Column("seq", _Long, primary_key=True, autoincrement=False),
    Column("kind", Text, nullable=False),  # see `JournalEntry`
    Column("topic", Text),
    Column("partition", Integer),
    Column("first", _Long),
    Column("last", _Long),
    Column("tick_number", _Long),
    Column("ts_ns", _Long),
    Column("data", Text),  # of a batch of a joined log: its members' spans
)

checkpoints = Table(
    "checkpoints",
    metadata,
    Column("task_id", _Long, ForeignKey("tasks.id"), primary_key=True),
    Column("seq", _Long, primary_key=True, autoincrement=False),
    Column("file", Text, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("size", _Long, nullable=False),
    Column("positions", Text, nullable=False),  # JSON: the next offset to read of each member
    Column("tick_number", _Long, nullable=False),
    Column("config_hash", Text, nullable=False),
    Column("code_version", Text, nullable=False),
    Column("created_at", Float, nullable=False),
    # a file of changes: what the chain that it ends begins with, and as of which checkpoint; else empty
    Column("base", Text, nullable=False, default="", server_default=""),
    Column("base_sha256", Text, nullable=False, default="", server_default=""),
    Column("base_seq", _Long, nullable=False, default=0, server_default="0"),
)

outbox = Table(
    "outbox",
    metadata,
    Column("n", _Long, primary_key=True, autoincrement=True),
    Column("alert_id", Text, nullable=False),
    Column("number", Integer, nullable=False),
    Column("task_id", _Long, ForeignKey("tasks.id")),
    Column("origin", Text, nullable=False),  # detect, service
    Column("transition", Text, nullable=False),  # fired, updated, resolved
    Column("rule", Text, nullable=False),
    Column("severity", Text, nullable=False),
    Column("venue", Text),  # null where the alert is about no instrument
    Column("symbol", Text),
    Column("ts_event_ns", _Long, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("config_hash", Text, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("routed", Integer, nullable=False, default=0, server_default="0"),  # 2, 3: SETTLED, HELD
    Column("behind_s", Float),  # the newest record time of its log when it was fetched, less its own
    Column("doubtful_since", Float),  # since when it may have been sent by a store that is lost
    UniqueConstraint("alert_id", "number"),
    Index("outbox_by_age", "created_at"),
    sqlite_autoincrement=True,
)
Index("outbox_untold", outbox.c.task_id, outbox.c.alert_id, sqlite_where=text("routed > 1"))
Index(
    "outbox_unrouted",
    outbox.c.n,
    sqlite_where=text("routed = 0"),
)
Index(
    "outbox_unrouted_by_importance",
    *(outbox.c[name] for name in ("severity", "transition", "n")),
    sqlite_where=text("routed = 0"),
)

decisions = Table(
    "decisions",
    metadata,
    Column("n", _Long, primary_key=True, autoincrement=True),
    Column("alert_id", Text, nullable=False),
    Column("number", Integer, nullable=False),
    Column("kind", Text, nullable=False),  # transition, near_miss
    Column("held_by", Text),
    Column("task_id", _Long, ForeignKey("tasks.id"), nullable=False),
    Column("topic", Text, nullable=False),
    Column("partition", Integer, nullable=False),
    Column("offset", _Long),
    Column("index_", Integer),
    Column("body", LargeBinary, nullable=False),
    Column("created_at", Float),  # of a near miss; a transition has its own in the outbox
    UniqueConstraint("alert_id", "number", "kind"),
    sqlite_autoincrement=True,
)
Index(
    "decisions_near_misses",
    decisions.c.n,
    sqlite_where=text("kind = 'near_miss'"),
)

Index(
    "decisions_near_misses_by_age",
    decisions.c.created_at,
    sqlite_where=text("kind = 'near_miss'"),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("n", _Long, primary_key=True, autoincrement=True),
    Column("outbox_n", _Long, ForeignKey("outbox.n"), nullable=False),
    Column("alert_id", Text, nullable=False),
    Column("number", Integer, nullable=False),
    Column("receiver", Text, nullable=False),
    Column("state", Text, nullable=False),  # pending, trying, done, parked, or what a stage said
    Column("attempts", Integer, nullable=False, default=0, server_default="0"),
    Column("next_at", Float, nullable=False, default=0.0, server_default="0"),
    Column("tried_at", Float),
    Column("done_at", Float),
    Column("in_doubt", Integer, nullable=False, default=0, server_default="0"),
    Column("error", Text),
    Column("held_by", Text),  # what a stage said: the silence, the summary's key, or why it waits
    Column("rank", Integer, nullable=False, default=0, server_default="0"),  # importance, the least first
    Column("ready", Integer, nullable=False, default=1, server_default="1"),  # see `delivery_order`
    Column("answer", Text),  # the beginning of what the receiver answered to the last failed attempt
    UniqueConstraint("alert_id", "number", "receiver"),
    Index("deliveries_outbox", "outbox_n"),
    Index("deliveries_tried", "tried_at"),
    sqlite_autoincrement=True,
)
# what is done is in none of these, so that what a sender asks costs the same however much there is
Index(
    "deliveries_pending",  # the most important that could be sent now
    *(deliveries.c[name] for name in ("receiver", "ready", "rank", "n")),
    sqlite_where=text("state = 'pending'"),
)
Index(
    "deliveries_deferred",  # the next whose time comes
    *(deliveries.c[name] for name in ("receiver", "next_at")),
    sqlite_where=text("state = 'pending' AND ready = 2"),
)
Index(
    "deliveries_open",  # what else of an episode is to be sent to a receiver
    *(deliveries.c[name] for name in ("receiver", "alert_id", "number")),
    sqlite_where=text("state IN ('pending', 'trying', 'parked')"),
)
Index(
    "deliveries_trying",
    deliveries.c.receiver,
    sqlite_where=text("state = 'trying'"),
)
Index(
    "deliveries_parked",
    *(deliveries.c[name] for name in ("receiver", "error")),
    sqlite_where=text("state = 'parked'"),
)

receiver_holds = Table(
    "receiver_holds",  # what a stage said of all of a rank that is due at a receiver
    metadata,
    Column("receiver", Text, primary_key=True),
    Column("rank", Integer, primary_key=True, autoincrement=False),
    Column("held_by", Text, nullable=False),
)

silences = Table(
    "silences",
    metadata,
    Column("n", _Long, primary_key=True, autoincrement=True),
    Column("matchers", Text, nullable=False),  # JSON: field, op, value; all must match
    Column("author", Text, nullable=False),  # login name
    Column("reason", Text, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("starts_at", Float, nullable=False),  # 0 from its creation on, whatever becomes of the clock
    Column("ends_at", Float, nullable=False),
    Column("ended_at", Float),  # when somebody ended it early
    Column("ended_by", Text),
    sqlite_autoincrement=True,
)
Index(
    "silences_by_end",
    silences.c.ends_at,
    sqlite_where=text("ended_at IS NULL"),
)

delivery_steps = Table(
    "delivery_steps",
    metadata,
    Column("alert_id", Text, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("receiver", Text, primary_key=True),
    Column("step", Text, primary_key=True),
    Column("result", Text, nullable=False),
)

dead_letters = Table(
    "dead_letters",
    metadata,
    Column("n", _Long, primary_key=True, autoincrement=True),
    Column("task_id", _Long, ForeignKey("tasks.id"), nullable=False),
    Column("topic", Text, nullable=False),
    Column("partition", Integer, nullable=False),
    Column("member", Integer, nullable=False, default=0, server_default="0"),  # its place in the log
    Column("offset", _Long, nullable=False),
    Column("index_", Integer, nullable=False),
    Column("reason", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("value", LargeBinary),
    Column("truncated", Integer, nullable=False, default=0, server_default="0"),
    Column("size", _Long, nullable=False),
    Column("record_ts", _Long),
    Column("minute", _Long),
    Column("replayed_at", Float),  # when it was last put back into its topic
    Column("last_offset", _Long),  # of a range; null where it is about one record
    Column("created_at", Float, nullable=False, default=0.0, server_default="0"),
    UniqueConstraint("task_id", "member", "offset", "index_", "reason"),
    Index("dead_letters_by_age", "created_at", "size"),
    sqlite_autoincrement=True,
)

dead_letter_floods = Table(
    "dead_letter_floods",
    metadata,
    Column("task_id", _Long, ForeignKey("tasks.id"), primary_key=True),
    Column("reason", Text, primary_key=True),
    Column("minute", _Long, primary_key=True, autoincrement=False),
    Column("first_member", Integer, primary_key=True, autoincrement=False),
    Column("first_offset", _Long, primary_key=True, autoincrement=False),
    Column("last_member", Integer, nullable=False),
    Column("last_offset", _Long, nullable=False),
    Column("count", _Long, nullable=False),
    Column("written_at", Float, nullable=False, default=0.0, server_default="0"),
)

ignored = Table(
    "ignored",
    metadata,
    Column("task_id", _Long, ForeignKey("tasks.id"), primary_key=True),
    Column("name", Text, primary_key=True),
    Column("count", _Long, nullable=False),
)

control_inputs = Table(
    "control_inputs",  # each log journals those that concern its detectors
    metadata,
    Column("n", _Long, primary_key=True, autoincrement=True),
    Column("key", Text, nullable=False),  # what gave rise to it, so that it is written once
    Column("kind", Text, nullable=False),  # quarantine, lift
    Column("detector", Text, nullable=False),
    Column("version", Text, nullable=False),  # the detector's; empty for any
    Column("reason", Text, nullable=False),
    Column("author", Text, nullable=False),  # login name; empty for the service itself
    Column("created_at", Float, nullable=False),
    UniqueConstraint("key"),
    sqlite_autoincrement=True,
)

task_status = Table(
    "task_status",
    metadata,
    Column("task_id", _Long, ForeignKey("tasks.id"), primary_key=True, autoincrement=False),
    Column("body", Text, nullable=False),
)


@event.listens_for(metadata, "before_create")
def _as_partial_elsewhere(_: MetaData, connection: Connection, **__: Any) -> None:
    """Make partial indexes partial in PostgreSQL too, without loading its dialect at every start."""
    if connection.dialect.name == "postgresql":
        for table in metadata.tables.values():
            for index in table.indexes:
                index.dialect_options["postgresql"]["where"] = index.dialect_options["sqlite"]["where"]
