import pg from 'pg';
import { ASSERT_IDENTITY } from './expected-database.mjs';
import { serve } from './serve.mjs';

const pool = new pg.Pool({
  connectionString: process.env.DATABASE_URL,
  application_name: 'shop',
  // For each new connection, before anybody gets it; one that fails is closed. The event 'connect' is awaited by nobody, and
  // onConnect does as this from pg 8.20 on, while each older one ignores it without a word.
  verify: (client, done) => client.query(ASSERT_IDENTITY, done),
});
pool.on('error', (error) => console.error(`an idle connection was lost: ${error.message}`));

await serve(async () => {
  const { rows } = await pool.query('SELECT count(*)::int AS users FROM users');
  return rows[0].users;
});
