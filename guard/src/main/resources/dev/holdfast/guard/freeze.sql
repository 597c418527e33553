-- What `holdfast freeze` puts into a database: schema holdfast_freeze. DROP SCHEMA holdfast_freeze CASCADE takes all of it
-- away, triggers included, and writes go on. docs/decisions/0027-watch-run-freeze.md says why it is built this way.

CREATE TABLE holdfast_freeze.freeze (
  only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
  frozen_at timestamptz NOT NULL,
  frozen_by text NOT NULL,
  reason text,
  application text,
  role text,
  except_role text,
  tables text[]);

-- For status, and for whoever meets a refusal and wants to know more.
GRANT USAGE ON SCHEMA holdfast_freeze TO PUBLIC;
GRANT SELECT ON holdfast_freeze.freeze TO PUBLIC;
