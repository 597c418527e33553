import { PrismaPg } from '@prisma/adapter-pg';
import { ASSERT_IDENTITY } from './expected-database.mjs';
import { PrismaClient } from './generated/index.js';
import { serve } from './serve.mjs';

// With the driver adapter, whose pool is that of pg: verify is for each new connection, before anybody gets it. Prisma's own
// engine has no such place.
const prisma = new PrismaClient({
  adapter: new PrismaPg({
    connectionString: process.env.DATABASE_URL,
    application_name: 'shop',
    verify: (client, done) => client.query(ASSERT_IDENTITY, done),
  }),
});

await serve(() => prisma.user.count());
