--liquibase formatted sql

--changeset shop:users
CREATE TABLE users (id int PRIMARY KEY, name text NOT NULL, email text);
--rollback DROP TABLE users;

--changeset shop:nickname
ALTER TABLE users ADD COLUMN nickname text;
--rollback ALTER TABLE users DROP COLUMN nickname;

--changeset shop:orders
CREATE TABLE orders (id int PRIMARY KEY, user_id int NOT NULL REFERENCES users ON DELETE CASCADE, amount int);
CREATE INDEX orders_user ON orders (user_id);
--rollback DROP TABLE orders;

--changeset shop:data
INSERT INTO users SELECT i, 'person ' || i, 'person' || i || '@example.com' FROM generate_series(1, 2000) i;
INSERT INTO orders SELECT i, i, 10 * i FROM generate_series(1, 3) i;
INSERT INTO users VALUES (1, 'person 1 again'), (2001, 'person 2001') ON CONFLICT (id) DO UPDATE SET name = excluded.name;
UPDATE users SET nickname = 'two' WHERE id = 2;
DELETE FROM users WHERE id = 11;
DELETE FROM users WHERE id BETWEEN 12 AND 20;
--rollback DELETE FROM orders;
--rollback DELETE FROM users;
