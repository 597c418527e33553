import { QueryTypes, Sequelize } from 'sequelize';
import { ASSERT_IDENTITY } from './expected-database.mjs';
import { serve } from './serve.mjs';

const sequelize = new Sequelize(process.env.DATABASE_URL, {
  logging: false,
  dialectOptions: { application_name: 'shop' },
});
// Awaited for each new connection, also for the one by which Sequelize asks for the server's version.
sequelize.addHook('afterConnect', async (connection) => {
  try {
    await connection.query(ASSERT_IDENTITY);
  } catch (error) {
    await connection.end(); // the pool does not know it yet, and would leave it open
    throw error;
  }
});

await serve(async () => {
  const [{ users }] = await sequelize.query('SELECT count(*)::int AS users FROM users', { type: QueryTypes.SELECT });
  return users;
});
