import typeorm from 'typeorm';
import { ASSERT_IDENTITY } from './expected-database.mjs';
import { serve } from './serve.mjs';

const source = new typeorm.DataSource({
  type: 'postgres',
  url: process.env.DATABASE_URL,
  applicationName: 'shop',
  // For the pool of pg: for each new connection, before anybody gets it.
  extra: { verify: (client, done) => client.query(ASSERT_IDENTITY, done) },
});

await serve(async () => {
  if (!source.isInitialized) await source.initialize();
  const [{ users }] = await source.query('SELECT count(*)::int AS users FROM users');
  return users;
});
