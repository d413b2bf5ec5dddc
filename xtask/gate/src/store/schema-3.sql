-- From form 2 to form 3.
ALTER TABLE flights ADD COLUMN gave_up INTEGER NOT NULL DEFAULT 0; -- it stood on a flight that was not pushed
UPDATE flights SET gave_up = 1 WHERE ahead IS NOT NULL AND outcome LIKE '% behind flight %, which was not pushed';
