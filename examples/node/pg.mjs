import pg from 'pg';
import { ASSERT_IDENTITY } from './expected-database.mjs';
import { serve } from './serve.mjs';

const pool = new pg.Pool({
  connectionString: process.env.DATABASE_URL,
  application_name: 'shop',
  // Awaited for each new connection, and what fails it closes it. The event 'connect' awaits nobody: queries would overtake it.
  onConnect: (client) => client.query(ASSERT_IDENTITY),
});
pool.on('error', (error) => console.error(`an idle connection was lost: ${error.message}`));

await serve(async () => {
  const { rows } = await pool.query('SELECT count(*)::int AS users FROM users');
  return rows[0].users;
});
