// node-postgres, and SQL by hand.
import pg from 'pg';
import { LEAVING, NEWCOMER, expect, orders, people, person } from './people.mjs';

export async function connected(url, work) {
  const client = new pg.Client(url);
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

// Several statements in one message are one transaction, to PostgreSQL.
const runs = (sql) => (url) => connected(url, (client) => client.query(sql).then(() => null));

async function ordinary(url) {
  await connected(url, async (client) => {
    await client.query('CREATE TABLE users (id int PRIMARY KEY, name text NOT NULL, email text)');
    await client.query('ALTER TABLE users ADD COLUMN nickname text');
    await client.query(`CREATE TABLE orders (
      id int PRIMARY KEY, user_id int NOT NULL REFERENCES users ON DELETE CASCADE, amount int)`);
    await client.query('CREATE INDEX orders_user ON orders (user_id)');

    const rows = people();
    await client.query(
      'INSERT INTO users (id, name, email) SELECT * FROM unnest($1::int[], $2::text[], $3::text[])',
      [rows.map((row) => row.id), rows.map((row) => row.name), rows.map((row) => row.email)]);
    for (const order of orders()) {
      await client.query('INSERT INTO orders VALUES ($1, $2, $3)', [order.id, order.userId, order.amount]);
    }
    for (const { id, name, email } of [person(1), person(NEWCOMER)]) {
      await client.query(
        `INSERT INTO users (id, name, email) VALUES ($1, $2, $3)
         ON CONFLICT (id) DO UPDATE SET name = excluded.name || ' again'`, [id, name, email]);
    }
    await client.query({
      name: 'rename', text: 'UPDATE users SET nickname = $2 WHERE id = $1', values: [2, 'two'],
    });
    await client.query('ALTER TABLE orders ALTER COLUMN amount TYPE bigint');
    for (const id of LEAVING) {
      await client.query('DELETE FROM users WHERE id = $1', [id]);
    }
    const { rows: found } = await client.query('SELECT name, nickname FROM users WHERE id <= 2 ORDER BY id');
    expect('users', found, [{ name: 'person 1 again', nickname: null }, { name: 'person 2', nickname: 'two' }]);
  });
}

const migration = (url, { permit, table }) => connected(url, async (client) => {
  await client.query('BEGIN');
  await client.query(`SET LOCAL holdfast.permit = '${permit}'`);
  await client.query(`DROP TABLE ${table}`);
  await client.query('COMMIT');
  return null;
});

export default {
  ordinary,
  'migration with a permit': migration,
  'DROP TABLE': runs('DROP TABLE users CASCADE'),
  'DROP TABLE in a transaction with other work': runs(
    'BEGIN; CREATE TABLE users_v2 (id int); DROP TABLE orders; ALTER TABLE users_v2 RENAME TO orders; COMMIT'),
  'ALTER TABLE DROP COLUMN': runs('ALTER TABLE users DROP COLUMN email'),
  'ALTER TABLE TYPE': runs('ALTER TABLE users ALTER COLUMN name TYPE int USING length(name)'),
  TRUNCATE: runs('TRUNCATE users CASCADE'),
  'DELETE without WHERE': runs('DELETE FROM users'),
  'UPDATE without WHERE': runs(`UPDATE users SET email = 'nobody@example.com'`),
};
