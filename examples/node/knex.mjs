import knex from 'knex';
import { ASSERT_IDENTITY } from './expected-database.mjs';
import { serve } from './serve.mjs';

const db = knex({
  client: 'pg',
  connection: { connectionString: process.env.DATABASE_URL, application_name: 'shop' },
  pool: {
    min: 0,
    max: 10,
    // For each new connection. Given an error, the pool hands it to nobody.
    afterCreate(connection, done) {
      connection.query(ASSERT_IDENTITY, (error) => {
        if (error) connection.end(); // the pool does not know it yet, and would leave it open
        done(error, connection);
      });
    },
  },
});

await serve(async () => {
  const { users } = await db('users').count('* as users').first();
  return users;
});
