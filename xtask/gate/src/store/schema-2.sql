-- From form 1 to form 2.
ALTER TABLE flights ADD COLUMN ahead INTEGER REFERENCES flights; -- it may be pushed after that one only
ALTER TABLE flights ADD COLUMN width INTEGER NOT NULL DEFAULT 1; -- how many candidates the queue tested at once
ALTER TABLE orders ADD COLUMN flight INTEGER; -- retry: which one
ALTER TABLE results ADD COLUMN failed INTEGER NOT NULL DEFAULT 0; -- the same digest has failed: it is not used again
CREATE INDEX flights_of_ahead ON flights (ahead) WHERE ahead IS NOT NULL;
CREATE TABLE bisections (
    bisection INTEGER PRIMARY KEY AUTOINCREMENT,
    flight    INTEGER, -- the regression that it explains; nothing: an operator asked
    branch    TEXT NOT NULL,
    job       TEXT NOT NULL,
    testid    TEXT, -- nothing: the whole job
    fixed     INTEGER NOT NULL,
    tuples    TEXT NOT NULL, -- JSON array of numbers of tuples
    begun     INTEGER NOT NULL,
    ended     INTEGER,
    end       TEXT -- JSON
);
CREATE INDEX bisections_of_branch ON bisections (branch, job);
CREATE INDEX bisections_of_flight ON bisections (flight) WHERE flight IS NOT NULL;
