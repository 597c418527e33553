// Drizzle ORM; the migrations as drizzle-kit writes them.
import { eq, sql } from 'drizzle-orm';
import { drizzle } from 'drizzle-orm/node-postgres';
import { migrate } from 'drizzle-orm/node-postgres/migrator';
import { index, integer, pgTable, text } from 'drizzle-orm/pg-core';
import { reset } from 'drizzle-seed';
import { fileURLToPath } from 'node:url';
import { LEAVING, NEWCOMER, expect, orders as someOrders, people, person } from './people.mjs';
import { connected } from './pg.mjs';

const users = pgTable('users', {
  id: integer('id').primaryKey(),
  name: text('name').notNull(),
  email: text('email'),
  nickname: text('nickname'),
});
const orders = pgTable('orders', {
  id: integer('id').primaryKey(),
  userId: integer('user_id').notNull().references(() => users.id, { onDelete: 'cascade' }),
  amount: integer('amount'),
}, (table) => [index('orders_user').on(table.userId)]);

const acting = (work) => (url) => connected(url, (client) => work(drizzle(client)).then(() => null));

const ordinary = acting(async (db) => {
  await migrate(db, { migrationsFolder: fileURLToPath(new URL('./drizzle', import.meta.url)) });

  await db.insert(users).values(people());
  await db.insert(orders).values(someOrders());
  await db.insert(users).values({ ...person(1), name: 'person 1 again' })
    .onConflictDoUpdate({ target: users.id, set: { name: sql`excluded.name` } });
  await db.insert(users).values(person(NEWCOMER)).onConflictDoNothing();
  await db.update(users).set({ nickname: 'two' }).where(eq(users.id, 2));
  await db.transaction(async (transaction) => {
    for (const id of LEAVING) {
      await transaction.delete(users).where(eq(users.id, id));
    }
  });
  const found = await db.select({ name: users.name, nickname: users.nickname }).from(users)
    .where(sql`${users.id} <= 2`).orderBy(users.id);
  expect('users', found, [{ name: 'person 1 again', nickname: null }, { name: 'person 2', nickname: 'two' }]);
});

export default {
  ordinary,
  // drizzle-kit has no reset; this is what its users run instead.
  'DROP SCHEMA': acting(async (db) => {
    await db.execute(sql`DROP SCHEMA public CASCADE`);
    await db.execute(sql`CREATE SCHEMA public`);
    await db.execute(sql`DROP SCHEMA drizzle CASCADE`);
  }),
  'drizzle-seed reset()': acting((db) => reset(db, { users, orders })),
  'delete()': acting((db) => db.delete(users)),
};
