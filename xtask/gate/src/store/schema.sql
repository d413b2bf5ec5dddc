-- Form 1. A later form is a script that begins where the one before it ends: schema-2.sql and so on.
CREATE TABLE tuples (
    tuple INTEGER PRIMARY KEY,
    text  TEXT NOT NULL UNIQUE -- JSON object: tree to revision, sorted
);
CREATE TABLE flights (
    flight   INTEGER PRIMARY KEY AUTOINCREMENT,
    branch   TEXT NOT NULL,
    blessing TEXT NOT NULL,
    state    TEXT NOT NULL,
    tuple    INTEGER NOT NULL REFERENCES tuples,
    baseline INTEGER REFERENCES tuples,
    parent   INTEGER REFERENCES flights, -- whose failed jobs it runs again
    started  INTEGER NOT NULL,
    finished INTEGER,
    outcome  TEXT
);
CREATE INDEX flights_of_tuple ON flights (branch, tuple);
CREATE INDEX flights_of_parent ON flights (parent) WHERE parent IS NOT NULL;
CREATE INDEX flights_open ON flights (branch) WHERE state <> 'done';
CREATE INDEX flights_of_branch ON flights (branch, blessing, flight);
CREATE TABLE jobs (
    flight   INTEGER NOT NULL REFERENCES flights,
    place    INTEGER NOT NULL,
    job      TEXT NOT NULL,
    kind     TEXT NOT NULL,
    tier     TEXT NOT NULL,
    advisory INTEGER NOT NULL,
    state    TEXT NOT NULL,
    tries    INTEGER NOT NULL DEFAULT 0, -- that a broken machine has cost
    PRIMARY KEY (flight, place)
) WITHOUT ROWID;
CREATE TABLE steps (
    flight   INTEGER NOT NULL,
    place    INTEGER NOT NULL,
    step     INTEGER NOT NULL,
    testid   TEXT NOT NULL,
    state    TEXT NOT NULL,
    started  INTEGER NOT NULL,
    finished INTEGER,
    reason   TEXT,
    log      TEXT,
    PRIMARY KEY (flight, place, step)
) WITHOUT ROWID;
CREATE TABLE runvars (
    flight INTEGER NOT NULL,
    place  INTEGER NOT NULL,
    name   TEXT NOT NULL,
    value  TEXT NOT NULL,
    PRIMARY KEY (flight, place, name)
) WITHOUT ROWID;
-- What has ever passed on a branch; outlives the flights themselves.
CREATE TABLE passed (
    branch TEXT NOT NULL,
    job    TEXT NOT NULL,
    testid TEXT NOT NULL,
    flight INTEGER NOT NULL,
    PRIMARY KEY (branch, job, testid)
) WITHOUT ROWID;
-- Passes that may be used again, by digest of everything that decides them.
CREATE TABLE results (
    digest TEXT PRIMARY KEY,
    flight INTEGER NOT NULL,
    place  INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE pushes (
    push       INTEGER PRIMARY KEY,
    flight     INTEGER NOT NULL REFERENCES flights,
    repository TEXT NOT NULL,
    ref        TEXT NOT NULL,
    old        TEXT, -- nothing: the ref must not be there
    new        TEXT NOT NULL,
    rewinds    INTEGER NOT NULL,
    state      TEXT NOT NULL
);
CREATE INDEX pushes_of_flight ON pushes (flight);
-- The tuples that were pushed, or taken over when a gate began.
CREATE TABLE tested (
    branch TEXT NOT NULL,
    flight INTEGER NOT NULL,
    tuple  INTEGER NOT NULL REFERENCES tuples,
    at     INTEGER NOT NULL,
    PRIMARY KEY (branch, flight)
) WITHOUT ROWID;
CREATE TABLE orders (
    number   INTEGER PRIMARY KEY,
    kind     TEXT NOT NULL,
    branch   TEXT, -- nothing: every branch
    revision TEXT,
    who      TEXT NOT NULL,
    why      TEXT NOT NULL,
    at       INTEGER NOT NULL,
    ended    INTEGER
);
CREATE INDEX orders_open ON orders (kind) WHERE ended IS NULL;
CREATE TABLE allowances (
    number  INTEGER PRIMARY KEY,
    branch  TEXT,
    job     TEXT NOT NULL,
    testid  TEXT NOT NULL,
    removes INTEGER NOT NULL,
    owner   TEXT NOT NULL,
    reason  TEXT NOT NULL,
    expires INTEGER NOT NULL
);
CREATE TABLE audit (
    number INTEGER PRIMARY KEY,
    at     INTEGER NOT NULL,
    who    TEXT NOT NULL,
    what   TEXT NOT NULL,
    branch TEXT,
    why    TEXT NOT NULL
);
