-- What the rooms' own webhooks told: sessions, who is in them, and the events
-- themselves until their consequences are drawn. Times are nanoseconds since the
-- Unix epoch, by the sender's clock unless it says otherwise.

CREATE TABLE sessions (
    room_id TEXT NOT NULL,
    id TEXT NOT NULL,
    room_name TEXT NOT NULL,
    opened_at INTEGER NOT NULL,
    opening_told INTEGER NOT NULL,
    closed_at INTEGER,
    -- Somebody stopped its recording by hand: nothing starts another.
    hands_off INTEGER NOT NULL,
    PRIMARY KEY (room_id, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX sessions_newest ON sessions (room_id, opened_at);
CREATE INDEX sessions_opened ON sessions (opened_at);

CREATE TABLE peers (
    room_id TEXT NOT NULL,
    session_id TEXT NOT NULL,
    id TEXT NOT NULL,
    -- As of this coming are name, user_id, metadata and role.
    known_of INTEGER NOT NULL,
    name TEXT NOT NULL,
    user_id TEXT NOT NULL,
    metadata TEXT NOT NULL,
    role TEXT NOT NULL,
    joined_at INTEGER,
    left_at INTEGER,
    left_of INTEGER,
    present INTEGER NOT NULL,
    PRIMARY KEY (room_id, session_id, id),
    FOREIGN KEY (room_id, session_id) REFERENCES sessions (room_id, id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE INDEX peers_present ON peers (room_id, session_id, known_of) WHERE present = 1;

CREATE TABLE room_events (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    -- The sender's: an event that comes again is told by it.
    id TEXT NOT NULL UNIQUE,
    -- By our clock.
    received_at INTEGER NOT NULL,
    -- The event as JSON; null once its consequences are drawn.
    body TEXT
) STRICT;

CREATE INDEX room_events_unsettled ON room_events (seq) WHERE body IS NOT NULL;
CREATE INDEX room_events_received ON room_events (received_at);
