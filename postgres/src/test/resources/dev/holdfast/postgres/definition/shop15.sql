ALTER TABLE "Shop".kinds ADD CONSTRAINT nulls_equal UNIQUE NULLS NOT DISTINCT (n, u);
CREATE VIEW "Shop".invoked WITH (security_invoker = on) AS SELECT id FROM "Shop".users;
CREATE PUBLICATION filtered FOR TABLE "Shop".kinds (b, n) WHERE (oids > 3), kept.payments;
CREATE PUBLICATION whole_schema FOR TABLES IN SCHEMA "Shop";
ALTER TABLE "Shop".users ADD FOREIGN KEY (id) REFERENCES "Shop".users (id) ON DELETE SET NULL (id);
