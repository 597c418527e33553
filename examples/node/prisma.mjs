import { PrismaPg } from '@prisma/adapter-pg';
import { ASSERT_IDENTITY } from './expected-database.mjs';
import { PrismaClient } from './generated/index.js';
import { serve } from './serve.mjs';

// With the driver adapter, which has the pool of pg. Prisma's own engine offers nothing to run when it connects.
const prisma = new PrismaClient({
  adapter: new PrismaPg({
    connectionString: process.env.DATABASE_URL,
    application_name: 'shop',
    onConnect: (client) => client.query(ASSERT_IDENTITY),
  }),
});

await serve(() => prisma.user.count());
