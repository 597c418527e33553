INSERT INTO users SELECT i, 'person ' || i, 'person' || i || '@example.com' FROM generate_series(1, 2000) i;
INSERT INTO orders SELECT i, i, 10 * i FROM generate_series(1, 3) i;
INSERT INTO users VALUES (1, 'person 1 again'), (2001, 'person 2001') ON CONFLICT (id) DO UPDATE SET name = excluded.name;
UPDATE users SET nickname = 'two' WHERE id = 2;
DELETE FROM users WHERE id = 11;
DELETE FROM users WHERE id BETWEEN 12 AND 20;
