// Prisma: its schema engine is a program that is fetched when it is first used, so what it sends is sent from here.
// `prisma migrate reset`: prisma-engines, schema-engine/connectors/sql-schema-connector, `reset` of
// src/flavour/postgres.rs; when the server refuses that, `best_effort_reset`, which drops one thing after the other.
import { LEAVING, NEWCOMER, expect, orders, people, person } from './people.mjs';
import { connected } from './pg.mjs';

const MIGRATIONS = `
  CREATE TABLE _prisma_migrations (
    id VARCHAR(36) PRIMARY KEY NOT NULL, checksum VARCHAR(64) NOT NULL, finished_at TIMESTAMPTZ,
    migration_name VARCHAR(255) NOT NULL, logs TEXT, rolled_back_at TIMESTAMPTZ,
    started_at TIMESTAMPTZ NOT NULL DEFAULT now(), applied_steps_count INTEGER NOT NULL DEFAULT 0)`;

const FORWARD = {
  '20261101000000_users': `
    -- CreateTable
    CREATE TABLE "users" (
      "id" INTEGER NOT NULL, "name" TEXT NOT NULL, "email" TEXT, CONSTRAINT "users_pkey" PRIMARY KEY ("id"));`,
  '20261102000000_orders': `
    -- AlterTable
    ALTER TABLE "users" ADD COLUMN "nickname" TEXT;
    -- CreateTable
    CREATE TABLE "orders" (
      "id" INTEGER NOT NULL, "user_id" INTEGER NOT NULL, "amount" INTEGER, CONSTRAINT "orders_pkey" PRIMARY KEY ("id"));
    -- CreateIndex
    CREATE INDEX "orders_user_id_idx" ON "orders"("user_id");
    -- AddForeignKey
    ALTER TABLE "orders" ADD CONSTRAINT "orders_user_id_fkey"
      FOREIGN KEY ("user_id") REFERENCES "users"("id") ON DELETE CASCADE ON UPDATE CASCADE;`,
};

const RESET = ['DROP SCHEMA "public" CASCADE', 'CREATE SCHEMA "public"'];

const BEST_EFFORT_RESET = ['DROP TABLE _prisma_migrations', `
  -- DropForeignKey
  ALTER TABLE "public"."orders" DROP CONSTRAINT "orders_user_id_fkey";
  -- DropTable
  DROP TABLE "public"."orders";
  -- DropTable
  DROP TABLE "public"."users";`];

async function ordinary(url) {
  await connected(url, async (client) => {
    await client.query('SELECT pg_advisory_lock(72707369)');
    await client.query(MIGRATIONS);
    for (const [name, script] of Object.entries(FORWARD)) {
      await client.query(
        'INSERT INTO _prisma_migrations (id, checksum, migration_name) VALUES ($1, $2, $1)', [name, 'x']);
      await client.query(script);
      await client.query('UPDATE _prisma_migrations SET finished_at = now(), applied_steps_count = 1 WHERE id = $1', [name]);
    }
    // createMany, upsert, update and delete as Prisma's query compiler spells them.
    const rows = people();
    await client.query(
      `INSERT INTO "public"."users" ("id","name","email") VALUES ${rows.map((_, n) => `($${3 * n + 1},$${3 * n + 2},$${3 * n + 3})`)}`,
      rows.flatMap(({ id, name, email }) => [id, name, email]));
    for (const { id, userId, amount } of orders()) {
      await client.query('INSERT INTO "public"."orders" ("id","user_id","amount") VALUES ($1,$2,$3) RETURNING "public"."orders"."id"', [id, userId, amount]);
    }
    for (const { id, name, email } of [person(1), person(NEWCOMER)]) {
      await client.query(
        `INSERT INTO "public"."users" ("id","name","email") VALUES ($1,$2,$3)
         ON CONFLICT ("id") DO UPDATE SET "name" = $4 WHERE ("public"."users"."id" = $1 AND 1=1)
         RETURNING "public"."users"."id"`, [id, name, email, `${name} again`]);
    }
    await client.query('UPDATE "public"."users" SET "nickname" = $1 WHERE ("public"."users"."id" = $2 AND 1=1)', ['two', 2]);
    for (const id of LEAVING) {
      await client.query('DELETE FROM "public"."users" WHERE ("public"."users"."id" = $1 AND 1=1) RETURNING "public"."users"."id"', [id]);
    }
    const { rows: found } = await client.query('SELECT name, nickname FROM "public"."users" WHERE id <= 2 ORDER BY id');
    expect('users', found, [{ name: 'person 1 again', nickname: null }, { name: 'person 2', nickname: 'two' }]);
  });
}

export default {
  ordinary,
  'migrate reset': (url) => connected(url, async (client) => {
    try {
      for (const sql of RESET) await client.query(sql);
    } catch {
      for (const sql of BEST_EFFORT_RESET) await client.query(sql);
    }
    return null;
  }),
  'DROP SCHEMA alone': (url) => connected(url, (client) => client.query(RESET[0]).then(() => null)),
  // What `prisma db push --accept-data-loss` sends for a field that left the schema.
  'db push --accept-data-loss': (url) => connected(url, (client) =>
    client.query('-- AlterTable\nALTER TABLE "users" DROP COLUMN "email";').then(() => null)),
};
