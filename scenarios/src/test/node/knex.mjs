// Knex, and its migrations.
import knex from 'knex';
import { LEAVING, NEWCOMER, expect, orders, people, person } from './people.mjs';

const MIGRATIONS = {
  '1_users': {
    up: (db) => db.schema.createTable('users', (table) => {
      table.integer('id').primary();
      table.text('name').notNullable();
      table.text('email');
    }),
    down: (db) => db.schema.dropTable('users'),
  },
  '2_nickname': {
    up: (db) => db.schema.alterTable('users', (table) => table.text('nickname')),
    down: (db) => db.schema.alterTable('users', (table) => table.dropColumn('nickname')),
  },
  '3_orders': {
    up: (db) => db.schema.createTable('orders', (table) => {
      table.integer('id').primary();
      table.integer('user_id').notNullable().references('users.id').onDelete('CASCADE');
      table.integer('amount');
      table.index('user_id');
    }),
    down: (db) => db.schema.dropTable('orders'),
  },
};

const migrationSource = {
  getMigrations: async () => Object.keys(MIGRATIONS),
  getMigrationName: (name) => name,
  getMigration: async (name) => MIGRATIONS[name],
};

async function using(url, work) {
  const db = knex({ client: 'pg', connection: url, migrations: { migrationSource }, pool: { min: 0, max: 2 } });
  try {
    await work(db);
    return null;
  } finally {
    await db.destroy();
  }
}

const acting = (work) => (url) => using(url, work);

const ordinary = acting(async (db) => {
  await db.migrate.up();
  await db.migrate.latest();

  await db.batchInsert('users', people(), 500);
  await db('orders').insert(orders().map(({ id, userId, amount }) => ({ id, user_id: userId, amount })));
  await db('users').insert({ ...person(1), name: 'person 1 again' }).onConflict('id').merge(['name']);
  await db('users').insert(person(NEWCOMER)).onConflict('id').merge();
  await db('users').where({ id: 2 }).update({ nickname: 'two' });
  for (const id of LEAVING) {
    await db('users').where({ id }).del();
  }
  const found = await db('users').select('name', 'nickname').where('id', '<=', 2).orderBy('id');
  expect('users', found, [{ name: 'person 1 again', nickname: null }, { name: 'person 2', nickname: 'two' }]);
});

export default {
  ordinary,
  // true is what the command line's --all stands for.
  'migrate:rollback --all': acting((db) => db.migrate.rollback(undefined, true)),
  'truncate()': acting((db) => db('orders').truncate()),
  'del()': acting((db) => db('users').del()),
};
