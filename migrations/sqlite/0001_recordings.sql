-- What roomreel remembers. Ids are 24 hex digits and sort by age; times are
-- nanoseconds since the Unix epoch (UTC). What is asked for or sorted by is a
-- column, the rest of a recording is in `doc` (src/store/sqlite/doc.rs).

-- "rrec": tells this database from those of other programs.
PRAGMA application_id = 0x72726563;

CREATE TABLE recordings (
    id TEXT NOT NULL PRIMARY KEY,
    beam_id TEXT NOT NULL,
    room_id TEXT NOT NULL,
    session_id TEXT NOT NULL,
    state TEXT NOT NULL,
    holds_room INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    doc TEXT NOT NULL
) STRICT;

-- One recording at most holds a room, whoever writes.
CREATE UNIQUE INDEX recordings_holder ON recordings (room_id) WHERE holds_room = 1;
CREATE INDEX recordings_room ON recordings (room_id, id);
CREATE INDEX recordings_room_state ON recordings (room_id, state, id);
CREATE INDEX recordings_session ON recordings (session_id, id);
CREATE INDEX recordings_state ON recordings (state, id);

-- Room, session and destination are those of the recording, which keeps them.
CREATE TABLE assets (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    recording_id TEXT NOT NULL REFERENCES recordings (id) ON DELETE CASCADE,
    room_id TEXT NOT NULL,
    session_id TEXT NOT NULL,
    destination TEXT NOT NULL,
    path TEXT NOT NULL,
    size INTEGER NOT NULL,
    duration_s REAL NOT NULL,
    created_at INTEGER NOT NULL,
    width INTEGER NOT NULL,
    height INTEGER NOT NULL,
    audio_only INTEGER NOT NULL,
    failed INTEGER NOT NULL
) STRICT;

CREATE INDEX assets_recording ON assets (recording_id);
CREATE INDEX assets_room ON assets (room_id, id);
CREATE INDEX assets_session ON assets (session_id, id);
CREATE INDEX assets_failed ON assets (failed, id);
CREATE INDEX assets_made ON assets (created_at);

CREATE TABLE events (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    metadata_id TEXT NOT NULL,
    recording_id TEXT NOT NULL REFERENCES recordings (id) ON DELETE CASCADE,
    occurrence TEXT NOT NULL,
    at INTEGER NOT NULL,
    -- Null until it has its deliveries.
    fanned_out_at INTEGER
) STRICT;

CREATE INDEX events_recording ON events (recording_id);
CREATE INDEX events_new ON events (seq) WHERE fanned_out_at IS NULL;

-- Recording, room and name are those of the event, which keeps them.
CREATE TABLE deliveries (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    event INTEGER NOT NULL REFERENCES events (seq) ON DELETE CASCADE,
    recording_id TEXT NOT NULL,
    room_id TEXT NOT NULL,
    name TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    state TEXT NOT NULL,
    due_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    last_status INTEGER,
    last_error TEXT,
    is_replay INTEGER NOT NULL
) STRICT;

CREATE INDEX deliveries_event ON deliveries (event);
CREATE INDEX deliveries_recording ON deliveries (recording_id, id);
CREATE INDEX deliveries_room ON deliveries (room_id, id);
CREATE INDEX deliveries_state ON deliveries (state, id);
CREATE INDEX deliveries_due ON deliveries (due_at) WHERE state = 'pending';
CREATE INDEX deliveries_line ON deliveries (recording_id, endpoint, id) WHERE state = 'pending';
