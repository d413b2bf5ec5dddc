-- From form 3 to form 4.
ALTER TABLE pushes ADD COLUMN tree TEXT; -- whose ref it is; nothing: the record's
UPDATE pushes SET tree = (
    SELECT j.key FROM flights f JOIN tuples t USING (tuple), json_each(t.text) j
    WHERE f.flight = pushes.flight AND j.value = pushes.new
);
ALTER TABLE flights ADD COLUMN bisection INTEGER; -- it is a point of that one
ALTER TABLE bisections ADD COLUMN alike INTEGER; -- the flight whose definitions its points are tested with
UPDATE bisections SET alike = flight;
UPDATE flights SET bisection = (
    SELECT max(b.bisection) FROM bisections b, json_each(b.tuples) t
    WHERE b.branch = flights.branch AND t.value = flights.tuple AND b.begun <= flights.started
    AND EXISTS (SELECT 1 FROM jobs j WHERE j.flight = flights.flight AND j.job = b.job)
) WHERE blessing = 'real-bisect';
CREATE INDEX flights_of_bisection ON flights (bisection) WHERE bisection IS NOT NULL;
