// Incident B, as its authors wrote it: an endpoint that changes a user's phone number. The number is one key of
// the JSON document `data`, which the update replaces.
import { DataTypes, Sequelize } from 'sequelize';

async function api(url, type, work) {
  const sequelize = new Sequelize(url, { logging: false, dialectOptions: { application_name: 'api' } });
  const User = sequelize.define('User', { data: DataTypes[type] }, { tableName: 'users', timestamps: false });
  try {
    return await work(sequelize, User);
  } finally {
    await sequelize.close();
  }
}

export default {
  register: (url, { type, users }) => api(url, type, async (sequelize, User) => {
    await sequelize.sync();
    await User.bulkCreate(Array.from({ length: users }, (_, n) => ({
      data: { phone: `0${n}`, address: `${n} High Street`, country: 'NO', postal: `${1000 + n}` },
    })));
    return null;
  }),

  changePhone: (url, { type, calls }) => api(url, type, async (_, User) => {
    for (const { id, phone } of calls) {
      await User.update({ data: { phone } }, { where: { id } });
    }
    return null;
  }),

  // The cure that was shipped: it keeps the other keys, and its lookup has no where.
  changePhoneOfTheFirst: (url, { type, calls }) => api(url, type, async (_, User) => {
    for (const { phone } of calls) {
      const user = await User.findOne({ order: ['id'] });
      await user.update({ data: { ...user.data, phone } });
    }
    return null;
  }),

  // Without an order PostgreSQL returns the row that lies first, and an update puts it behind the others.
  changePhoneOfAnyone: (url, { type, calls }) => api(url, type, async (_, User) => {
    for (const { phone } of calls) {
      const user = await User.findOne();
      await user.update({ data: { ...user.data, phone } });
    }
    return null;
  }),
};
