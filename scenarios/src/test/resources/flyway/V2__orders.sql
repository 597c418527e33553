ALTER TABLE users ADD COLUMN nickname text;
CREATE TABLE orders (id int PRIMARY KEY, user_id int NOT NULL REFERENCES users ON DELETE CASCADE, amount int);
CREATE INDEX orders_user ON orders (user_id);
