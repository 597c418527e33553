// node-pg-migrate, and the data written through node-postgres, which it is used with.
import { runner } from 'node-pg-migrate';
import { fileURLToPath } from 'node:url';
import { LEAVING, NEWCOMER, people, person } from './people.mjs';
import { connected } from './pg.mjs';

const migrate = (url, direction, count) => runner({
  databaseUrl: url,
  dir: fileURLToPath(new URL('./node-pg-migrate', import.meta.url)),
  direction,
  count,
  migrationsTable: 'pgmigrations',
  log: () => {},
});

async function ordinary(url) {
  await migrate(url, 'up', 1);
  await migrate(url, 'up', Infinity);
  await connected(url, async (client) => {
    const insert = 'INSERT INTO users (id, name, email) SELECT id, name, email FROM json_populate_recordset(NULL::users, $1)';
    await client.query(insert, [JSON.stringify(people())]);
    await client.query(`${insert} ON CONFLICT (id) DO UPDATE SET name = excluded.name`,
      [JSON.stringify([person(1), person(NEWCOMER)])]);
    await client.query('INSERT INTO orders (user_id, amount) VALUES (1, 10), (2, 20), (3, 30)');
    await client.query("UPDATE users SET nickname = 'two' WHERE id = 2");
    for (const id of LEAVING) {
      await client.query('DELETE FROM users WHERE id = $1', [id]);
    }
  });
  return null;
}

export default {
  ordinary,
  down: (url) => migrate(url, 'down', Infinity).then(() => null),
  'down 1': (url) => migrate(url, 'down', 1).then(() => null),
};
