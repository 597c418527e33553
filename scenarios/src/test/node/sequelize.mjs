// Sequelize 6.
import { DataTypes, Sequelize } from 'sequelize';
import { LEAVING, NEWCOMER, expect, orders, people, person } from './people.mjs';

async function using(url, work) {
  const sequelize = new Sequelize(url, { logging: false, pool: { max: 2 } });
  try {
    return await work(sequelize);
  } finally {
    await sequelize.close();
  }
}

function models(sequelize, columns = { email: DataTypes.TEXT, nickname: DataTypes.TEXT }) {
  const User = sequelize.define('User', {
    id: { type: DataTypes.INTEGER, primaryKey: true },
    name: { type: DataTypes.TEXT, allowNull: false },
    ...columns,
  }, { tableName: 'users', timestamps: false });
  const Order = sequelize.define('Order', {
    id: { type: DataTypes.INTEGER, primaryKey: true },
    amount: DataTypes.INTEGER,
  }, { tableName: 'orders', timestamps: false, indexes: [{ fields: ['user_id'] }] });
  Order.belongsTo(User, { foreignKey: { name: 'userId', field: 'user_id', allowNull: false }, onDelete: 'CASCADE' });
  return { User, Order };
}

const acting = (work) => (url) => using(url, (sequelize) => work(sequelize, models(sequelize)).then(() => null));

async function ordinary(url) {
  await using(url, async (sequelize) => {
    // As a new application: its first model alone; then what sequelize-cli's migrations would do.
    const first = sequelize.define('First', {
      id: { type: DataTypes.INTEGER, primaryKey: true },
      name: { type: DataTypes.TEXT, allowNull: false },
      email: DataTypes.TEXT,
    }, { tableName: 'users', timestamps: false });
    await first.sync();
    await sequelize.getQueryInterface().addColumn('users', 'nickname', DataTypes.TEXT);
  });
  await using(url, async (sequelize) => {
    const { User, Order } = models(sequelize);
    await sequelize.sync();
    await sequelize.sync({ alter: true });

    await User.bulkCreate(people());
    await Order.bulkCreate(orders());
    await User.upsert({ ...person(1), name: 'person 1 again' });
    await User.upsert(person(NEWCOMER));
    await User.update({ nickname: 'two' }, { where: { id: 2 } });
    await sequelize.transaction(async (transaction) => {
      for (const id of LEAVING) {
        await User.destroy({ where: { id }, transaction });
      }
    });
    const found = await User.findAll({ where: { id: [1, 2] }, order: ['id'], attributes: ['name', 'nickname'], raw: true });
    expect('users', found, [{ name: 'person 1 again', nickname: null }, { name: 'person 2', nickname: 'two' }]);
  });
}

// As a migration of sequelize-cli, in the transaction that its authors give it.
const migration = (url, { permit, table }) => using(url, async (sequelize) => {
  await sequelize.transaction(async (transaction) => {
    await sequelize.query(`SET LOCAL holdfast.permit = '${permit}'`, { transaction });
    await sequelize.getQueryInterface().dropTable(table, { transaction });
  });
  return null;
});

export default {
  ordinary,
  'migration with a permit': migration,
  'sync({force: true})': acting((sequelize) => sequelize.sync({ force: true })),
  'drop()': acting((sequelize) => sequelize.drop()),
  // The model has lost a field since.
  'sync({alter: true})': (url) => using(url, async (sequelize) => {
    models(sequelize, { nickname: DataTypes.TEXT });
    await sequelize.sync({ alter: true });
    return null;
  }),
  'destroy({truncate: true})': acting((_, { User }) => User.destroy({ truncate: true, cascade: true })),
  'destroy({where: {}})': acting((_, { User }) => User.destroy({ where: {} })),
  'update({where: {}})': acting((_, { User }) => User.update({ email: 'nobody@example.com' }, { where: {} })),
  // What `sequelize db:drop` runs, connected to another database.
  'db:drop': (url) => {
    const other = new URL(url);
    const name = other.pathname.slice(1);
    other.pathname = '/postgres';
    return using(other.toString(), async (sequelize) => {
      await sequelize.query(`DROP DATABASE IF EXISTS "${name}"`);
      return null;
    });
  },
};
