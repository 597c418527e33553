exports.up = (pgm) => {
  pgm.createTable('users', {
    id: { type: 'integer', primaryKey: true },
    name: { type: 'text', notNull: true },
    email: { type: 'text' },
  });
};
// No down: node-pg-migrate works it out.
