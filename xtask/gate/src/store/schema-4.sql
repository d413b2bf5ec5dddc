-- From form 3 to form 4.
ALTER TABLE pushes ADD COLUMN tree TEXT; -- whose ref it is; nothing: the record's
