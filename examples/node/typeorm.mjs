import typeorm from 'typeorm';
import { ASSERT_IDENTITY } from './expected-database.mjs';
import { serve } from './serve.mjs';

const source = new typeorm.DataSource({
  type: 'postgres',
  url: process.env.DATABASE_URL,
  applicationName: 'shop',
  // TypeORM hands it to the pool of pg, which awaits it for each new connection.
  extra: { onConnect: (client) => client.query(ASSERT_IDENTITY) },
});

await serve(async () => {
  if (!source.isInitialized) await source.initialize();
  const [{ users }] = await source.query('SELECT count(*)::int AS users FROM users');
  return users;
});
