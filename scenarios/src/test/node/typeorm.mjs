// TypeORM, with a data source that synchronises as so many do.
import typeorm from 'typeorm';
import { LEAVING, NEWCOMER, expect, orders, people, person } from './people.mjs';

const { DataSource, EntitySchema } = typeorm;

const user = (columns) => new EntitySchema({
  name: 'User',
  tableName: 'users',
  columns: { id: { type: Number, primary: true }, name: { type: 'text' }, ...columns },
});

const order = new EntitySchema({
  name: 'Order',
  tableName: 'orders',
  columns: { id: { type: Number, primary: true }, amount: { type: Number }, userId: { name: 'user_id', type: Number } },
  relations: { user: { type: 'many-to-one', target: 'User', joinColumn: { name: 'user_id' }, onDelete: 'CASCADE' } },
  indices: [{ columns: ['userId'] }],
});

const email = { type: 'text', nullable: true };
const nickname = { type: 'text', nullable: true };

async function using(url, entities, work) {
  const source = await new DataSource({ type: 'postgres', url, entities, poolSize: 2 }).initialize();
  try {
    await work(source);
    return null;
  } finally {
    await source.destroy();
  }
}

const acting = (work) => (url) => using(url, [user({ email, nickname }), order], work);

async function ordinary(url) {
  await using(url, [user({ email })], (source) => source.synchronize());
  return using(url, [user({ email, nickname }), order], async (source) => {
    await source.synchronize();
    await source.synchronize(); // as each start of the application does

    const users = source.getRepository('User');
    await users.insert(people());
    await source.getRepository('Order').insert(orders());
    await users.upsert({ ...person(1), name: 'person 1 again' }, ['id']);
    await users.upsert(person(NEWCOMER), ['id']);
    await users.update({ id: 2 }, { nickname: 'two' });
    const leaving = await users.findBy({ id: typeorm.In(LEAVING) });
    await users.remove(leaving);
    const found = await users.find({ where: { id: typeorm.In([1, 2]) }, order: { id: 'ASC' }, select: { name: true, nickname: true } });
    expect('users', found, [{ name: 'person 1 again', nickname: null }, { name: 'person 2', nickname: 'two' }]);
  });
}

export default {
  ordinary,
  // The command line calls the same.
  'schema:drop': acting((source) => source.dropDatabase()),
  'synchronize(true)': acting((source) => source.synchronize(true)),
  'synchronize() after a property was removed': (url) => using(
    url, [user({ nickname }), order], (source) => source.synchronize()),
  'synchronize() after a type was changed': (url) => using(
    url, [user({ email: { type: 'varchar', length: 100, nullable: true }, nickname }), order],
    (source) => source.synchronize()),
  'clear()': acting((source) => source.getRepository('Order').clear()),
};
